package subscription

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Group is a team, department or organization that subscriptions belong to. Groups may
// belong to other groups. All subscriptions in a group, and in the groups below it, share
// its limits.
type Group struct {
	ID string `json:"id"`
	// Name is a name for people. It need not be unique.
	Name string `json:"name,omitempty"`
	// Parent is the id of the group that this one belongs to; empty: none.
	Parent string `json:"parent,omitempty"`
	// Limits are the group's limits, at most MaxLimits. Each call of a subscription below the
	// group must pass all of them.
	Limits []Limit `json:"limits,omitempty"`
	// Suspended suspends all subscriptions below the group.
	Suspended bool      `json:"suspended,omitempty"`
	Created   time.Time `json:"created,omitzero"`
	// Version grows with every change; 0: not stored yet. Counters adopt only newer ones.
	Version int64 `json:"version,omitempty"`
}

// Bounds on limits and groups.
const (
	// MaxLimits is the most limits of a tier or group.
	MaxLimits = 8
	// MaxCallLimits is the most limits that a call can be charged to: those of its
	// tier, its group and the groups above.
	MaxCallLimits = 24
	// MaxDepth is the most groups in a chain from a group to the topmost one.
	MaxDepth = 4
)

// Validate returns everything that is wrong with the group itself. GroupChain checks the
// groups above it.
func (g *Group) Validate() error {
	var f faults
	f.checkID("id", g.ID)
	if g.Parent != "" {
		f.checkID("parent", g.Parent)
		f.check(g.Parent != g.ID, "parent", "is the group itself", "use another group, or leave it out")
	}
	f.checkName(g.Name)
	f.checkLimits(g.Limits)
	return f.err()
}

// Warnings describes settings that are valid but may surprise the operator.
func (g *Group) Warnings() []string {
	all := limitWarnings(g.Limits)
	if len(g.Limits) == 0 {
		all = append(all, "nothing is limited: the group has no limits")
	}
	return all
}

// GroupChain returns a group and the groups above it, nearest first; none for the empty id.
// read reads a group by its id. The error concerns the field parent if a group is its own
// ancestor or the chain is longer than MaxDepth, and is a *MissingError if a group doesn't
// exist.
func GroupChain(ctx context.Context, id string, read func(ctx context.Context, id string) (Group, error)) ([]Group, error) {
	var chain []Group
	for id != "" {
		for _, below := range chain {
			if below.ID == id {
				return nil, newFieldError("parent", fmt.Sprintf("makes group %q its own ancestor", id), "use a group that isn't below it")
			}
		}
		if len(chain) == MaxDepth {
			return nil, newFieldError("parent", fmt.Sprintf("makes groups nest deeper than %d", MaxDepth), "use a group nearer the top")
		}
		g, err := read(ctx, id)
		if err != nil {
			if errors.Is(err, ErrNotFound) {
				return nil, &MissingError{"group", id}
			}
			return nil, err
		}
		chain = append(chain, g)
		id = g.Parent
	}
	return chain, nil
}

// A MissingError means that a subscription or group refers to a tier or group that doesn't
// exist. Kind is "tier" or "group".
type MissingError struct{ Kind, ID string }

// Error names what is missing and says what to do.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s %q was not found: create it, or use one that exists", e.Kind, e.ID)
}

// Unwrap returns ErrNotFound.
func (e *MissingError) Unwrap() error { return ErrNotFound }
