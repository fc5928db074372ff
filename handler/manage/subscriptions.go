package manage

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"tollgate/handler/subscription"
)

// listSubscriptions answers with subscriptions, ordered by id.
func (c *call) listSubscriptions() (*result, error) {
	q := c.query()
	search, tier, group, state := q.param("search"), q.param("tier"), q.param("group"), q.choice("state", "", "active", "suspended")
	after, limit := q.param("after"), q.pageSize()
	if err := q.err(); err != nil {
		return nil, err
	}
	below := func(subscription.Subscription) bool { return true }
	if group != "" {
		var err error
		if below, err = c.belowGroup(group); err != nil {
			return nil, err
		}
	}
	all, err := c.api.config.Store.Subscriptions(c.Context())
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(s subscription.Subscription) bool {
		return !matches(search, s.ID, s.Name) || tier != "" && s.Tier != tier || state != "" && s.Suspended != (state == "suspended") || !below(s)
	})
	return &result{body: paginate(all, func(s subscription.Subscription) string { return s.ID }, after, limit)}, nil
}

func (c *call) readSubscription() (*result, error) {
	return c.answerDetails(c.registry(), false)
}

// answerDetails answers with the subscription that the path names, the rules and groups that
// apply to it, and its keys.
func (c *call) answerDetails(registry subscription.Registry, created bool) (*result, error) {
	id := c.PathValue("id")
	details, err := registry.Details(c.Context(), id)
	if err != nil {
		return nil, explainMissing("", err)
	}
	if details.Keys == nil {
		details.Keys = []subscription.KeyRecord{}
	}
	return changeResult(created, details, details.Version, Prefix+"/subscriptions/"+id), nil
}

// explainMissing returns err or, if it means that a field of the body refers to something that
// doesn't exist, a problem with that field. An empty field is the kind of what is missing. The
// status must not be 404, which would say that the path is wrong.
func explainMissing(field string, err error) error {
	missing, ok := errors.AsType[*subscription.MissingError](err)
	if !ok {
		return err
	}
	if field == "" {
		field = missing.Kind
	}
	return &Problem{Status: http.StatusUnprocessableEntity, Code: CodeNotFound, Detail: err.Error(),
		Errors: []FieldProblem{{field, "was not found", "use an existing " + missing.Kind + ", or create this one first"}}}
}

// editableFields holds the fields of a subscription that operators set. A body may have the
// other fields too, so that an operator can read a subscription, edit it and send it back.
type editableFields struct {
	Name      string                 `json:"name,omitempty"`
	Tier      string                 `json:"tier,omitempty"`
	Group     string                 `json:"group,omitempty"`
	Overrides subscription.Overrides `json:"overrides,omitzero"`
	Suspended bool                   `json:"suspended,omitempty"`
}

func editableFieldsOf(s subscription.Subscription) editableFields {
	return editableFields{s.Name, s.Tier, s.Group, s.Overrides, s.Suspended}
}

func (v editableFields) apply(s *subscription.Subscription) {
	s.Name, s.Tier, s.Group, s.Overrides, s.Suspended = v.Name, v.Tier, v.Group, v.Overrides, v.Suspended
}

// patched returns the fields with a merge patch applied. Overrides are patched separately,
// because their short form changes one limit among several.
func (v editableFields) patched(patch []byte) (editableFields, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(patch, &fields); err != nil {
		return v, badRequest("The body is not a JSON object.")
	}
	before := v.Overrides
	v.Overrides = subscription.Overrides{}
	overrides, given := fields["overrides"]
	delete(fields, "overrides")
	rest, err := json.Marshal(fields)
	if err != nil {
		return v, err
	}
	after, err := applyPatch(v, rest)
	if after.Overrides = before; err == nil && given {
		after.Overrides, err = subscription.PatchOverrides(before, overrides, applyMergePatch)
	}
	return after, err
}

// putSubscription creates a subscription, without keys, or replaces all its editable
// fields.
func (c *call) putSubscription() (*result, error) {
	condition, err := c.precondition()
	if err != nil {
		return nil, err
	}
	var given subscription.Details
	if err := c.decodeBody(&given, false); err != nil {
		return nil, err
	}
	id := c.PathValue("id")
	if err := checkPathID(id, given.ID); err != nil {
		return nil, err
	}
	registry, created := c.registry(), false
	change := func(s *subscription.Subscription) error {
		if err := condition.checkReplace("subscription", id, s.Version); err != nil {
			return err
		}
		editableFieldsOf(given.Subscription).apply(s)
		return nil
	}
	_, err = registry.Change(c.Context(), id, change)
	if err != nil && c.isAbsent(registry, id) {
		created = true
		err = c.createSubscription(registry, id, change)
	}
	if err != nil {
		return nil, explainMissing("", err)
	}
	return c.answerDetails(registry, created)
}

// isAbsent reports whether a subscription doesn't exist.
func (c *call) isAbsent(registry subscription.Registry, id string) bool {
	_, err := registry.Store.Subscription(c.Context(), id)
	return errors.Is(err, subscription.ErrNotFound)
}

func (c *call) createSubscription(registry subscription.Registry, id string, change func(*subscription.Subscription) error) error {
	s := subscription.Subscription{ID: id}
	if err := change(&s); err != nil {
		return err
	}
	_, err := registry.Create(c.Context(), s)
	return err
}

// patchSubscription changes the fields in a merge patch.
func (c *call) patchSubscription() (*result, error) {
	condition, err := c.precondition()
	if err != nil {
		return nil, err
	}
	patch, err := c.readBody(typeMerge, typeJSON)
	if err != nil {
		return nil, err
	}
	if err := rejectReadOnly(patch, "id", "version", "created", "rules", "groups", "keys"); err != nil {
		return nil, err
	}
	registry, id := c.registry(), c.PathValue("id")
	if isOnlySuspension(patch) && condition == (precondition{}) { // works even if the tier is missing or invalid
		suspended, err := registry.Suspend(c.Context(), id, true)
		if err != nil {
			return nil, err
		}
		return changeResult(false, suspended, suspended.Version, ""), nil
	}
	if _, err := registry.Change(c.Context(), id, func(s *subscription.Subscription) error {
		if err := condition.check("subscription", id, s.Version); err != nil {
			return err
		}
		after, err := editableFieldsOf(*s).patched(patch)
		if err == nil {
			after.apply(s)
		}
		return err
	}); err != nil {
		return nil, explainMissing("", err)
	}
	return c.answerDetails(registry, false)
}

// isOnlySuspension reports whether a patch does nothing but suspend.
func isOnlySuspension(patch []byte) bool {
	var given map[string]any
	return json.Unmarshal(patch, &given) == nil && len(given) == 1 && given["suspended"] == true
}
