package manage

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"tollgate/handler/subscription"
)

func joined(faults []error) error { return errors.Join(faults...) }

// listTiers answers with tiers, by id.
func (c *call) listTiers() (*result, error) {
	q := c.query()
	search, after, limit := q.text("search"), q.text("after"), q.limit()
	if err := q.err(); err != nil {
		return nil, err
	}
	all, err := c.api.Store.Tiers(c.Context())
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(t subscription.Tier) bool { return !found(search, t.ID) })
	return &result{body: cut(all, func(t subscription.Tier) string { return t.ID }, after, limit)}, nil
}

func (c *call) readTier() (*result, error) {
	tier, err := c.registry().Tier(c.Context(), c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return &result{body: tier, version: tier.Version}, nil
}

// putTier makes a tier, or replaces all of one.
func (c *call) putTier() (*result, error) {
	var given subscription.Tier
	if err := c.decode(&given, false); err != nil {
		return nil, err
	}
	id := c.PathValue("id")
	if err := named(id, given.ID); err != nil {
		return nil, err
	}
	return c.setTier(precondition.required, func(t *subscription.Tier) error {
		t.Limits = given.Limits
		return nil
	})
}

// patchTier changes what a merge patch names.
func (c *call) patchTier() (*result, error) {
	patch, err := c.body(typeMerge, typeJSON)
	if err != nil {
		return nil, err
	}
	if err := readOnly(patch, "id", "version"); err != nil {
		return nil, err
	}
	return c.setTier(precondition.check, func(t *subscription.Tier) error {
		t.Limits, err = patched(t.Limits, patch)
		return err
	})
}

// setTier changes a tier, or makes it, under the request's precondition.
func (c *call) setTier(check func(precondition, string, string, int64) error, change func(*subscription.Tier) error) (*result, error) {
	condition, err := c.precondition()
	if err != nil {
		return nil, err
	}
	id, made := c.PathValue("id"), false
	tier, err := c.registry().SetTier(c.Context(), id, func(t *subscription.Tier) error {
		made = t.Version == 0
		if err := check(condition, "tier", id, t.Version); err != nil {
			return err
		}
		return change(t)
	})
	if err != nil {
		return nil, err
	}
	return stored(made, tier, tier.Version, Prefix+"/tiers/"+id), nil
}

// stored is the answer to a change.
func stored(made bool, body any, version int64, location string) *result {
	if made {
		return &result{status: http.StatusCreated, body: body, version: version, location: location}
	}
	return &result{body: body, version: version}
}

// patched is a value with a merge patch applied.
func patched[T any](value T, patch []byte) (T, error) {
	var after T
	document, err := json.Marshal(value)
	if err != nil {
		return after, err
	}
	merged, err := merge(document, patch)
	if err != nil {
		return after, err
	}
	return after, decode(merged, &after)
}

// readOnly refuses a patch of fields that aren't the operator's to set.
func readOnly(patch []byte, names ...string) error {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(patch, &given); err != nil || given == nil {
		return badRequest("The body is not a JSON object.")
	}
	var faults []error
	for _, name := range names {
		if _, there := given[name]; there {
			faults = append(faults, fieldError(name, "can't be set", "leave it out"))
		}
	}
	return joined(faults)
}

// named checks that a body's own id, if it has one, is the path's.
func named(id, given string) error {
	if given != "" && given != id {
		return fieldError("id", "is not the path's", "use the same, or leave it out")
	}
	return nil
}
