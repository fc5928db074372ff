package manage

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"time"

	"tollgate/handler/subscription"
)

// Event is one change, or what was meant to be one: a row of the audit. It
// never holds a key, nor a key's hash.
type Event struct {
	// ID orders events, the newest first.
	ID   string    `json:"id"`
	When time.Time `json:"when"`
	// Who made the change: a token's owner, "operator key", or the command line's user.
	Who string `json:"who"`
	// Action is what was done: tier.create, tier.change, subscription.create,
	// subscription.change, subscription.suspend, subscription.resume, key.create,
	// key.expire or key.revoke.
	Action string `json:"action"`
	// Target is the id of the tier or subscription.
	Target string `json:"target"`
	// Changes are the fields that changed, by their JSON names.
	Changes map[string]Change `json:"changes,omitempty"`
	Outcome Outcome           `json:"outcome"`
}

// Change is a field's value before and after; absent where there was or is none.
type Change struct {
	From any `json:"from,omitempty"`
	To   any `json:"to,omitempty"`
}

// Outcome is what became of a change.
type Outcome string

// The outcomes. An event is written before its change as unknown, so that no
// change is without one, whatever fails.
const (
	Unknown Outcome = "unknown" // its answer was lost, or the process died
	Done    Outcome = "done"
	Refused Outcome = "refused" // another change came first
)

// Audit keeps events.
type Audit interface {
	// Begin adds an event and gives it its ID.
	Begin(ctx context.Context, e Event) (id string, err error)
	// End sets what became of an event.
	End(ctx context.Context, id string, outcome Outcome) error
	// Events lists events newest first, of one target where that isn't empty, at
	// most limit behind the one with the ID after. next is where to go on, empty
	// at the end.
	Events(ctx context.Context, target, after string, limit int) (events []Event, next string, err error)
}

// listAudit answers with events, newest first.
func (c *call) listAudit() (*result, error) {
	q := c.query()
	target, after, limit := q.text("target"), q.text("after"), q.limit()
	if err := q.err(); err != nil {
		return nil, err
	}
	events, next, err := c.api.Audit.Events(c.Context(), target, after, limit)
	if err != nil {
		return nil, err
	}
	if events == nil {
		events = []Event{}
	}
	return &result{body: page[Event]{Items: events, Next: next}}, nil
}

// unchanging are the fields that say nothing about a change.
var unchanging = []string{"id", "version", "created"}

// differences are the fields in which two values' JSON differs.
func differences(before, after any) map[string]Change {
	from, to, all := fields(before), fields(after), make(map[string]Change)
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

func fields(value any) map[string]any {
	var all map[string]any
	if text, err := json.Marshal(value); err == nil {
		_ = json.Unmarshal(text, &all) // it was just encoded
	}
	for _, name := range unchanging {
		delete(all, name)
	}
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == "" }) // as good as absent
	return all
}

// keyFields are what the audit says of a key.
func keyFields(k subscription.KeyRecord) map[string]Change {
	changes := map[string]Change{"slot": {To: k.Slot}, "created": {To: k.Created}}
	if !k.Expires.IsZero() {
		changes["expires"] = Change{To: k.Expires}
	}
	return changes
}
