package manage

import (
	"context"

	"tollgate/handler/subscription"
)

func (c *call) deleteTier() (*result, error) {
	return c.delete("tier", c.registry().DeleteTier)
}

func (c *call) deleteGroup() (*result, error) {
	return c.delete("group", c.registry().DeleteGroup)
}

func (c *call) deleteSubscription() (*result, error) {
	return c.delete("subscription", c.registry().DeleteSubscription)
}

// deleteFunc is Registry.DeleteTier, DeleteGroup or DeleteSubscription.
type deleteFunc func(ctx context.Context, id string, terms subscription.DeleteOptions) (subscription.Deletion, error)

// delete deletes what the path names, and answers with what else was deleted or moved.
func (c *call) delete(kind string, remove deleteFunc) (*result, error) {
	q := c.query()
	terms := subscription.DeleteOptions{Force: q.flag("force"), DryRun: q.flag("dryRun")}
	if err := q.err(); err != nil {
		return nil, err
	}
	condition, err := c.precondition()
	if err != nil {
		return nil, err
	}
	id := c.PathValue("id")
	terms.Check = func(version int64) error { return condition.check(kind, id, version) }
	deletion, err := remove(c.Context(), id, terms)
	if err != nil {
		return nil, err
	}
	return &result{body: deletion}, nil
}
