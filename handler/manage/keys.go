package manage

import (
	"net/http"
	"time"

	"tollgate/handler/subscription"
)

// terms are what an operator says of a new key.
type terms struct {
	Expires time.Time             `json:"expires,omitzero"`
	Overlap subscription.Duration `json:"overlap,omitzero"`
}

// MadeKey is a key as it is shown this once.
type MadeKey struct {
	subscription.KeyRecord
	Key string `json:"key"`
	// Warning is there where the key was made and something else failed.
	Warning string `json:"warning,omitempty"`
}

func (c *call) createKey() (*result, error) {
	return c.makeKey(func(given terms) error {
		if given.Overlap != 0 {
			return fieldError("overlap", "has no key to overlap", "leave it out, or rotate a key that there is")
		}
		return nil
	}, func(r subscription.Registry, pepper subscription.Pepper, id string, slot subscription.KeySlot, t subscription.KeyTerms) (string, subscription.KeyRecord, error) {
		return r.CreateKey(c.Context(), pepper, id, slot, t)
	})
}

func (c *call) rotateKey() (*result, error) {
	return c.makeKey(func(terms) error { return nil },
		func(r subscription.Registry, pepper subscription.Pepper, id string, slot subscription.KeySlot, t subscription.KeyTerms) (string, subscription.KeyRecord, error) {
			return r.RotateKey(c.Context(), pepper, id, slot, t)
		})
}

// makeKey answers with a new key. One that is stored is shown even where an
// older one could not be taken away.
func (c *call) makeKey(check func(terms) error,
	issue func(subscription.Registry, subscription.Pepper, string, subscription.KeySlot, subscription.KeyTerms) (string, subscription.KeyRecord, error)) (*result, error) {
	var given terms
	if err := c.decode(&given, true); err != nil {
		return nil, err
	}
	if err := check(given); err != nil {
		return nil, err
	}
	if c.api.Pepper == nil {
		return nil, &Problem{Status: http.StatusServiceUnavailable, Code: "no_pepper", Detail: "Keys can't be made here: KEY_PEPPER is not set."}
	}
	key, record, err := issue(c.registry(), *c.api.Pepper, c.PathValue("id"), subscription.KeySlot(c.PathValue("slot")),
		subscription.KeyTerms{Expires: given.Expires, Overlap: time.Duration(given.Overlap)})
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
	patch, err := c.body(typeMerge, typeJSON)
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
