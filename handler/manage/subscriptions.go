package manage

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"tollgate/handler/subscription"
)

// listSubscriptions answers with subscriptions, by id.
func (c *call) listSubscriptions() (*result, error) {
	q := c.query()
	search, tier, state := q.text("search"), q.text("tier"), q.oneOf("state", "", "active", "suspended")
	after, limit := q.text("after"), q.limit()
	if err := q.err(); err != nil {
		return nil, err
	}
	all, err := c.api.Store.Subscriptions(c.Context())
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(s subscription.Subscription) bool {
		return !found(search, s.ID, s.Name) || tier != "" && s.Tier != tier || state != "" && s.Suspended != (state == "suspended")
	})
	return &result{body: cut(all, func(s subscription.Subscription) string { return s.ID }, after, limit)}, nil
}

func (c *call) readSubscription() (*result, error) {
	return c.account(c.registry(), false)
}

// account answers with all there is to know of a subscription.
func (c *call) account(registry subscription.Registry, made bool) (*result, error) {
	id := c.PathValue("id")
	account, err := registry.Account(c.Context(), id)
	if err != nil {
		return nil, c.tierless(registry, err)
	}
	if account.Keys == nil {
		account.Keys = []subscription.KeyRecord{}
	}
	return stored(made, account, account.Version, Prefix+"/subscriptions/"+id), nil
}

// tierless tells a subscription that isn't there from one whose tier isn't: the
// path is good, so that is a problem of the request or of the tables.
func (c *call) tierless(registry subscription.Registry, err error) error {
	if !errors.Is(err, subscription.ErrNotFound) {
		return err
	}
	if c.Method != http.MethodPut && c.absent(registry, c.PathValue("id")) {
		return err
	}
	return &Problem{Status: http.StatusUnprocessableEntity, Code: CodeNotFound, Detail: err.Error(),
		Errors: []FieldProblem{{"tier", "was not found", "name one that there is, or make it first"}}}
}

// settable are the fields of a subscription that operators set. The others may
// be in a body, so that what was read can be changed and sent back.
type settable struct {
	Name      string          `json:"name,omitempty"`
	Tier      string          `json:"tier,omitempty"`
	Overrides json.RawMessage `json:"overrides,omitempty"`
	Suspended bool            `json:"suspended,omitempty"`
}

func settableOf(s subscription.Subscription) settable {
	return settable{s.Name, s.Tier, s.Overrides, s.Suspended}
}

func (v settable) apply(s *subscription.Subscription) {
	s.Name, s.Tier, s.Overrides, s.Suspended = v.Name, v.Tier, v.Overrides, v.Suspended
	if text := string(s.Overrides); text == "{}" || text == "null" {
		s.Overrides = nil
	}
}

// putSubscription makes a subscription, without keys, or replaces all that
// operators set of one.
func (c *call) putSubscription() (*result, error) {
	condition, err := c.precondition()
	if err != nil {
		return nil, err
	}
	var given subscription.Account
	if err := c.decode(&given, false); err != nil {
		return nil, err
	}
	id := c.PathValue("id")
	if err := named(id, given.ID); err != nil {
		return nil, err
	}
	registry, made := c.registry(), false
	change := func(s *subscription.Subscription) error {
		if err := condition.required("subscription", id, s.Version); err != nil {
			return err
		}
		settableOf(given.Subscription).apply(s)
		return nil
	}
	_, err = registry.Change(c.Context(), id, change)
	if err != nil && c.absent(registry, id) {
		made = true
		err = c.create(registry, id, change)
	}
	if err != nil {
		return nil, c.tierless(registry, err)
	}
	return c.account(registry, made)
}

// absent says that a subscription isn't there.
func (c *call) absent(registry subscription.Registry, id string) bool {
	_, err := registry.Store.Subscription(c.Context(), id)
	return errors.Is(err, subscription.ErrNotFound)
}

func (c *call) create(registry subscription.Registry, id string, change func(*subscription.Subscription) error) error {
	s := subscription.Subscription{ID: id}
	if err := change(&s); err != nil {
		return err
	}
	_, err := registry.Create(c.Context(), s)
	return err
}

// patchSubscription changes what a merge patch names.
func (c *call) patchSubscription() (*result, error) {
	condition, err := c.precondition()
	if err != nil {
		return nil, err
	}
	patch, err := c.body(typeMerge, typeJSON)
	if err != nil {
		return nil, err
	}
	if err := readOnly(patch, "id", "version", "created", "limits", "keys"); err != nil {
		return nil, err
	}
	registry, id := c.registry(), c.PathValue("id")
	if onlySuspends(patch) && condition == (precondition{}) { // which must work whatever became of the tier
		suspended, err := registry.Suspend(c.Context(), id, true)
		if err != nil {
			return nil, err
		}
		return stored(false, suspended, suspended.Version, ""), nil
	}
	if _, err := registry.Change(c.Context(), id, func(s *subscription.Subscription) error {
		if err := condition.check("subscription", id, s.Version); err != nil {
			return err
		}
		after, err := patched(settableOf(*s), patch)
		if err == nil {
			after.apply(s)
		}
		return err
	}); err != nil {
		return nil, c.tierless(registry, err)
	}
	return c.account(registry, false)
}

// onlySuspends says that a patch does nothing but suspend.
func onlySuspends(patch []byte) bool {
	var given map[string]any
	return json.Unmarshal(patch, &given) == nil && len(given) == 1 && given["suspended"] == true
}
