package manage

import (
	"fmt"
	"slices"

	"tollgate/handler/subscription"
)

// listGroups answers with groups, ordered by id.
func (c *call) listGroups() (*result, error) {
	q := c.query()
	search, parent, after, limit := q.param("search"), q.param("parent"), q.param("after"), q.pageSize()
	if err := q.err(); err != nil {
		return nil, err
	}
	all, err := c.api.config.Store.Groups(c.Context())
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(g subscription.Group) bool {
		return !matches(search, g.ID, g.Name) || parent != "" && g.Parent != parent
	})
	return &result{body: paginate(all, func(g subscription.Group) string { return g.ID }, after, limit)}, nil
}

func (c *call) readGroup() (*result, error) {
	g, err := c.registry().Group(c.Context(), c.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return &result{body: g, version: g.Version}, nil
}

// editableGroup holds the fields of a group that operators set.
type editableGroup struct {
	Name      string               `json:"name,omitempty"`
	Parent    string               `json:"parent,omitempty"`
	Limits    []subscription.Limit `json:"limits,omitempty"`
	Suspended bool                 `json:"suspended,omitempty"`
}

func (v editableGroup) apply(g *subscription.Group) {
	g.Name, g.Parent, g.Limits, g.Suspended = v.Name, v.Parent, v.Limits, v.Suspended
}

func editableGroupOf(g subscription.Group) editableGroup {
	return editableGroup{g.Name, g.Parent, g.Limits, g.Suspended}
}

// putGroup creates or replaces a group.
func (c *call) putGroup() (*result, error) {
	var given subscription.Group
	if err := c.decodeBody(&given, false); err != nil {
		return nil, err
	}
	if err := checkPathID(c.PathValue("id"), given.ID); err != nil {
		return nil, err
	}
	return c.setGroup(precondition.checkReplace, func(g *subscription.Group) error {
		editableGroupOf(given).apply(g)
		return nil
	})
}

// patchGroup changes the fields in a merge patch.
func (c *call) patchGroup() (*result, error) {
	patch, err := c.readBody(typeMerge, typeJSON)
	if err != nil {
		return nil, err
	}
	if err := rejectReadOnly(patch, "id", "version", "created"); err != nil {
		return nil, err
	}
	condition, err := c.precondition()
	if err != nil {
		return nil, err
	}
	if isOnlySuspension(patch) && condition == (precondition{}) { // works even if other groups are missing or invalid
		g, err := c.registry().SuspendGroup(c.Context(), c.PathValue("id"), true)
		if err != nil {
			return nil, err
		}
		return changeResult(false, g, g.Version, ""), nil
	}
	return c.setGroup(precondition.check, func(g *subscription.Group) error {
		if g.Version == 0 {
			return fmt.Errorf("group %q was %w: create it, or use one that exists", g.ID, subscription.ErrNotFound)
		}
		after, err := applyPatch(editableGroupOf(*g), patch)
		if err == nil {
			after.apply(g)
		}
		return err
	})
}

// setGroup creates or changes the group that the path names, if check accepts the stored version
// under the request's precondition.
func (c *call) setGroup(check func(precondition, string, string, int64) error, change func(*subscription.Group) error) (*result, error) {
	condition, err := c.precondition()
	if err != nil {
		return nil, err
	}
	id, created := c.PathValue("id"), false
	g, err := c.registry().SetGroup(c.Context(), id, func(g *subscription.Group) error {
		created = g.Version == 0
		if err := check(condition, "group", id, g.Version); err != nil {
			return err
		}
		return change(g)
	})
	if err != nil {
		return nil, explainMissing("parent", err)
	}
	return changeResult(created, g, g.Version, Prefix+"/groups/"+id), nil
}
