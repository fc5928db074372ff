package subscription

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Group is a team, department or organization that subscriptions belong to. Groups
// nest. A group's limits are shared by all subscriptions below it.
type Group struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	// Parent is the id of the group that this one is part of; empty: none.
	Parent string `json:"parent,omitempty"`
	// Limits all apply to each call of the subscriptions below the group; at most MaxLimits.
	Limits []Limit `json:"limits,omitempty"`
	// Suspended suspends all subscriptions below the group.
	Suspended bool      `json:"suspended,omitempty"`
	Created   time.Time `json:"created,omitzero"`
	// Version grows with every change; counters adopt only newer ones.
	Version int64 `json:"version,omitempty"`
}

const (
	// MaxLimits is the most limits of a tier or group.
	MaxLimits = 8
	// MaxCallLimits is the most limits that a call can be charged to: those of its
	// tier, its group and the groups above.
	MaxCallLimits = 24
	// MaxDepth is how deep groups may nest.
	MaxDepth = 4
)

// Validate returns everything that is wrong with the group itself. Chain checks the
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

// Warnings returns what is allowed but may surprise the operator.
func (g *Group) Warnings() []string {
	all := limitWarnings(g.Limits)
	if len(g.Limits) == 0 {
		all = append(all, "nothing is limited: the group has no limits")
	}
	return all
}

// Chain returns a group and those above it, the nearest first. read reads a group by its
// id. The error names the field parent if a group is its own ancestor, or if they nest
// deeper than MaxDepth.
func Chain(ctx context.Context, id string, read func(ctx context.Context, id string) (Group, error)) ([]Group, error) {
	var chain []Group
	for id != "" {
		for _, below := range chain {
			if below.ID == id {
				return nil, fieldError("parent", fmt.Sprintf("makes group %q its own ancestor", id), "use a group that isn't below it")
			}
		}
		if len(chain) == MaxDepth {
			return nil, fieldError("parent", fmt.Sprintf("makes groups nest deeper than %d", MaxDepth), "use a group nearer the top")
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

// A MissingError says that a tier or group to which something refers doesn't exist.
type MissingError struct{ Kind, ID string }

// Error says what is missing, and what to do.
func (e *MissingError) Error() string {
	return fmt.Sprintf("%s %q was not found: create it, or use one that exists", e.Kind, e.ID)
}

// Unwrap makes the error an ErrNotFound.
func (e *MissingError) Unwrap() error { return ErrNotFound }
