package manage

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"time"

	"tollgate/handler/subscription"
)

// An Event is a change that an operator made or tried: one row of the audit. A request that
// would change nothing makes none. An event never holds a key or a key's hash.
type Event struct {
	// ID orders events, newest first.
	ID   string    `json:"id"`
	When time.Time `json:"when"`
	// Who is the operator: a token's owner, "operator key", or the user of the command line.
	Who string `json:"who"`
	// Action is one of tier.create, tier.change, tier.delete, group.create, group.change,
	// group.suspend, group.resume, group.delete, subscription.create,
	// subscription.change, subscription.suspend, subscription.resume,
	// subscription.delete, key.create, key.expire, key.revoke, price.create,
	// price.change, price.delete or currency.change.
	Action string `json:"action"`
	// Target is the id of the tier, group or subscription, the model of a price, or "currency".
	Target string `json:"target"`
	// Changes holds the fields that changed, by JSON name.
	Changes map[string]Change `json:"changes,omitempty"`
	Outcome Outcome           `json:"outcome"`
}

// A Change is a field's value before and after a change; nil if there was or is none.
type Change struct {
	From any `json:"from,omitempty"`
	To   any `json:"to,omitempty"`
}

// An Outcome says how a change ended.
type Outcome string

// The outcomes. An event is written with the outcome unknown before its change is made, so that
// every change has an event, whatever fails.
const (
	Unknown Outcome = "unknown" // the answer was lost, or the process died
	Done    Outcome = "done"
	Refused Outcome = "refused" // another change came first
)

// An Audit stores events.
type Audit interface {
	// Begin adds an event and returns its ID.
	Begin(ctx context.Context, e Event) (id string, err error)
	// End sets the outcome of an event.
	End(ctx context.Context, id string, outcome Outcome) error
	// Events lists at most limit events, newest first, beginning after the one with the ID
	// after; empty: with the newest. If target isn't empty, it lists that target's events only.
	// next is the value of after for the next page; empty: there is none.
	Events(ctx context.Context, target, after string, limit int) (events []Event, next string, err error)
}

// listAudit answers with events, newest first.
func (c *call) listAudit() (*result, error) {
	q := c.query()
	target, after, limit := q.param("target"), q.param("after"), q.pageSize()
	if err := q.err(); err != nil {
		return nil, err
	}
	events, next, err := c.api.config.Audit.Events(c.Context(), target, after, limit)
	if err != nil {
		return nil, err
	}
	if events == nil {
		events = []Event{}
	}
	return &result{body: page[Event]{Items: events, Next: next}}, nil
}

// ignoredFields holds the fields left out of Changes.
var ignoredFields = []string{"id", "version", "created"}

// differences returns the fields in which two values differ, encoded as JSON.
func differences(before, after any) map[string]Change {
	from, to, all := jsonFields(before), jsonFields(after), make(map[string]Change)
	for name, value := range to {
		if !reflect.DeepEqual(from[name], value) {
			all[name] = Change{From: from[name], To: value}
		}
	}
	for name, value := range from {
		if _, kept := to[name]; !kept {
			all[name] = Change{From: value}
		}
	}
	return all
}

// jsonFields returns the fields of a value's JSON, without those that are ignored or empty.
func jsonFields(value any) map[string]any {
	var all map[string]any
	if text, err := json.Marshal(value); err == nil {
		_ = json.Unmarshal(text, &all) // can't fail: it was just encoded
	}
	for _, name := range ignoredFields {
		delete(all, name)
	}
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == "" }) // the same as absent
	return all
}

// keyChanges returns what the audit records about a new key.
func keyChanges(k subscription.KeyRecord) map[string]Change {
	changes := map[string]Change{"slot": {To: k.Slot}, "created": {To: k.Created}}
	if !k.Expires.IsZero() {
		changes["expires"] = Change{To: k.Expires}
	}
	return changes
}
