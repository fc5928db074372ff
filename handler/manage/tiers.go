package manage

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"tollgate/handler/subscription"
)

// listTiers answers with tiers, ordered by id.
func (c *call) listTiers() (*result, error) {
	q := c.query()
	search, after, limit := q.param("search"), q.param("after"), q.pageSize()
	if err := q.err(); err != nil {
		return nil, err
	}
	all, err := c.api.config.Store.Tiers(c.Context())
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(t subscription.Tier) bool { return !matches(search, t.ID) })
	return &result{body: paginate(all, func(t subscription.Tier) string { return t.ID }, after, limit)}, nil
}

func (c *call) readTier() (*result, error) {
	tier, err := c.registry().Tier(c.Context(), c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return &result{body: tier, version: tier.Version}, nil
}

// putTier creates or replaces a tier.
func (c *call) putTier() (*result, error) {
	var given subscription.Tier
	if err := c.decodeBody(&given, false); err != nil {
		return nil, err
	}
	id := c.PathValue("id")
	if err := errors.Join(checkPathID(id, given.ID), given.CheckSingleForm()); err != nil {
		return nil, err
	}
	return c.setTier(precondition.checkReplace, func(t *subscription.Tier) error {
		t.Rules = given.Rules
		return nil
	})
}

// patchTier changes the fields in a merge patch, or creates a tier.
func (c *call) patchTier() (*result, error) {
	patch, err := c.readBody(typeMerge, typeJSON)
	if err != nil {
		return nil, err
	}
	if err := rejectReadOnly(patch, "id", "version"); err != nil {
		return nil, err
	}
	if patch, err = subscription.ZeroShortFormNulls(patch); err != nil {
		return nil, err
	}
	var given struct{ Limits json.RawMessage }
	_ = json.Unmarshal(patch, &given) // an object: rejectReadOnly checked it
	return c.setTier(precondition.check, func(t *subscription.Tier) error {
		if t.Rules, err = applyPatch(t.Rules, patch); err == nil && given.Limits != nil {
			err = t.CheckSingleForm()
		}
		return err
	})
}

// setTier creates or changes the tier that the path names, if check accepts the stored version
// under the request's precondition.
func (c *call) setTier(check func(precondition, string, string, int64) error, change func(*subscription.Tier) error) (*result, error) {
	condition, err := c.precondition()
	if err != nil {
		return nil, err
	}
	id, created := c.PathValue("id"), false
	tier, err := c.registry().SetTier(c.Context(), id, func(t *subscription.Tier) error {
		created = t.Version == 0
		if err := check(condition, "tier", id, t.Version); err != nil {
			return err
		}
		return change(t)
	})
	if err != nil {
		return nil, err
	}
	return changeResult(created, tier, tier.Version, Prefix+"/tiers/"+id), nil
}

// changeResult returns the answer to the creation or change of a value at a location.
func changeResult(created bool, body any, version int64, location string) *result {
	if created {
		return &result{status: http.StatusCreated, body: body, version: version, location: location}
	}
	return &result{body: body, version: version}
}

// applyPatch returns a value with a merge patch applied.
func applyPatch[T any](value T, patch []byte) (T, error) {
	var after T
	document, err := json.Marshal(value)
	if err != nil {
		return after, err
	}
	merged, err := applyMergePatch(document, patch)
	if err != nil {
		return after, err
	}
	return after, decode(merged, &after)
}

// rejectReadOnly returns an error if a patch sets read-only fields.
func rejectReadOnly(patch []byte, names ...string) error {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(patch, &given); err != nil || given == nil {
		return badRequest("The body is not a JSON object.")
	}
	var faults []error
	for _, name := range names {
		if _, set := given[name]; set {
			faults = append(faults, fieldError(name, "can't be set", "leave it out"))
		}
	}
	return errors.Join(faults...)
}

// checkPathID checks that the id in a body, if there is one, is the path's.
func checkPathID(id, given string) error {
	if given != "" && given != id {
		return fieldError("id", "is not the path's", "use the id in the path, or leave it out")
	}
	return nil
}
