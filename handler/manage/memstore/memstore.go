// Package memstore keeps the audit in memory: for tests, and for trying out a gateway
// without storage.
package memstore

import (
	"context"
	"strconv"
	"sync"

	"tollgate/handler/manage"
)

// A Store is a manage.Audit in memory. The zero value is ready to use.
type Store struct {
	mu      sync.Mutex
	events  []manage.Event // oldest first
	lastID  int
	failure error // if set, the error of every operation
}

var _ manage.Audit = (*Store)(nil)

// Fail makes every operation return err until it is called with nil.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
}

// maxEvents is the most events kept; the oldest are dropped first.
const maxEvents = 10_000

// Begin implements manage.Audit, as do the methods that follow.
func (s *Store) Begin(_ context.Context, e manage.Event) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return "", s.failure
	}
	if len(s.events) >= maxEvents {
		s.events = s.events[maxEvents/10:]
	}
	s.lastID++
	e.ID, e.Outcome = strconv.Itoa(s.lastID), manage.Unknown
	s.events = append(s.events, e)
	return e.ID, nil
}

func (s *Store) End(_ context.Context, id string, outcome manage.Outcome) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.events {
		if s.failure == nil && s.events[i].ID == id {
			s.events[i].Outcome = outcome
		}
	}
	return s.failure
}

func (s *Store) Events(_ context.Context, target, after string, limit int) (found []manage.Event, next string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reached := after == ""
	for i := len(s.events) - 1; i >= 0 && s.failure == nil; i-- {
		e := s.events[i]
		switch {
		case !reached:
			reached = e.ID == after
		case target != "" && e.Target != target:
		case len(found) == limit:
			return found, found[limit-1].ID, nil
		default:
			found = append(found, e)
		}
	}
	return found, "", s.failure
}
