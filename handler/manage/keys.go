package manage

import (
	"context"
	"net/http"
	"time"

	"tollgate/handler/subscription"
)

// keyTerms are an operator's choices for a new key.
type keyTerms struct {
	Expires time.Time             `json:"expires,omitzero"`
	Overlap subscription.Duration `json:"overlap,omitzero"`
}

// A MadeKey is a new key. It is shown only in this answer.
type MadeKey struct {
	subscription.KeyRecord
	Key string `json:"key"`
	// Warning says what failed after the key was created; usually absent.
	Warning string `json:"warning,omitempty"`
}

func (c *call) createKey() (*result, error) {
	var given keyTerms
	if err := c.decodeBody(&given, true); err != nil {
		return nil, err
	}
	if given.Overlap != 0 {
		return nil, fieldError("overlap", "has no key to overlap", "leave it out, or rotate an existing key")
	}
	return c.issueKey(given, c.registry().CreateKey)
}

func (c *call) rotateKey() (*result, error) {
	var given keyTerms
	if err := c.decodeBody(&given, true); err != nil {
		return nil, err
	}
	return c.issueKey(given, c.registry().RotateKey)
}

// issueFunc is Registry.CreateKey or Registry.RotateKey.
type issueFunc func(context.Context, subscription.Pepper, string, subscription.KeySlot, subscription.KeyOptions) (string, subscription.KeyRecord, error)

// issueKey answers with a new key. If the key was stored but deleting an older one
// failed, the answer has the key and a warning.
func (c *call) issueKey(given keyTerms, issue issueFunc) (*result, error) {
	if c.api.config.Pepper == nil {
		return nil, &Problem{Status: http.StatusServiceUnavailable, Code: "no_pepper", Detail: "Keys can't be created here: KEY_PEPPER is not set."}
	}
	key, record, err := issue(c.Context(), *c.api.config.Pepper, c.PathValue("id"), subscription.KeySlot(c.PathValue("slot")),
		subscription.KeyOptions{Expires: given.Expires, Overlap: time.Duration(given.Overlap)})
	if key == "" {
		return nil, err
	}
	made := MadeKey{KeyRecord: record, Key: key}
	if err != nil {
		made.Warning = err.Error()
	}
	return &result{status: http.StatusCreated, body: made}, nil
}

// expireKey sets when a slot's newest key expires; null: never.
func (c *call) expireKey() (*result, error) {
	patch, err := c.readBody(typeMerge, typeJSON)
	if err != nil {
		return nil, err
	}
	var given struct {
		Expires *time.Time `json:"expires"`
	}
	if err := decode(patch, &given); err != nil {
		return nil, err
	}
	var at time.Time
	if given.Expires != nil {
		at = given.Expires.UTC().Truncate(time.Second)
	}
	record, err := c.registry().ExpireKey(c.Context(), c.PathValue("id"), subscription.KeySlot(c.PathValue("slot")), at)
	if err != nil {
		return nil, err
	}
	return &result{body: record}, nil
}

func (c *call) revokeKey() (*result, error) {
	if err := c.registry().RevokeKey(c.Context(), c.PathValue("id"), subscription.KeySlot(c.PathValue("slot"))); err != nil {
		return nil, err
	}
	return &result{status: http.StatusNoContent}, nil
}
