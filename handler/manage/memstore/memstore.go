// Package memstore keeps the audit in memory: for tests, and for a gateway that
// is tried out without storage.
package memstore

import (
	"context"
	"strconv"
	"sync"

	"tollgate/handler/manage"
)

// Store is an audit in memory. The zero value is ready.
type Store struct {
	mu     sync.Mutex
	events []manage.Event // oldest first
	made   int
	fault  error // where set, what every operation fails with
}

var _ manage.Audit = (*Store)(nil)

// Fail has every operation fail with err; nil ends it.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = err
}

// kept bounds the events that are remembered; the oldest go first.
const kept = 10_000

// Begin implements manage.Audit, as do the methods that follow.
func (s *Store) Begin(_ context.Context, e manage.Event) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		return "", s.fault
	}
	if len(s.events) >= kept {
		s.events = s.events[kept/10:]
	}
	s.made++
	e.ID, e.Outcome = strconv.Itoa(s.made), manage.Unknown
	s.events = append(s.events, e)
	return e.ID, nil
}

func (s *Store) End(_ context.Context, id string, outcome manage.Outcome) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.events {
		if s.fault == nil && s.events[i].ID == id {
			s.events[i].Outcome = outcome
		}
	}
	return s.fault
}

func (s *Store) Events(_ context.Context, target, after string, limit int) (found []manage.Event, next string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	behind := after == ""
	for i := len(s.events) - 1; i >= 0 && s.fault == nil; i-- {
		e := s.events[i]
		switch {
		case !behind:
			behind = e.ID == after
		case target != "" && e.Target != target:
		case len(found) == limit:
			return found, found[limit-1].ID, nil
		default:
			found = append(found, e)
		}
	}
	return found, "", s.fault
}
