// Package memstore keeps stored responses' owners in memory: for tests, and for trying
// out a gateway without storage.
package memstore

import (
	"context"
	"maps"
	"sync"
	"time"

	"tollgate/handler/stored"
)

// A Fault decides the outcome of an operation, "put", "get" or "delete": with an error
// the operation fails, and a put is applied nevertheless if apply is true.
type Fault func(operation string) (apply bool, err error)

// Store keeps responses in memory. Make one with New.
type Store struct {
	mu        sync.Mutex
	responses map[string]stored.Response
	fault     Fault
}

var _ stored.Store = (*Store)(nil)

// New returns an empty store. fault may be nil.
func New(fault Fault) *Store {
	if fault == nil {
		fault = func(string) (bool, error) { return true, nil }
	}
	return &Store{responses: make(map[string]stored.Response), fault: fault}
}

// Put implements stored.Store, as do the methods that follow.
func (s *Store) Put(_ context.Context, r stored.Response) error {
	apply, err := s.fault("put")
	if err != nil && !apply {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch old, there := s.responses[r.ID]; {
	case !there:
		s.responses[r.ID] = r
	case old.Subscription != r.Subscription:
		return stored.ErrTaken
	}
	return err
}

func (s *Store) Get(_ context.Context, id string, now time.Time) (stored.Response, error) {
	if _, err := s.fault("get"); err != nil {
		return stored.Response{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found, there := s.responses[id]
	if !there || found.Expired(now) {
		return stored.Response{}, stored.ErrUnknown
	}
	return found, nil
}

func (s *Store) DeleteExpired(_ context.Context, now time.Time) (deleted int, err error) {
	if _, err := s.fault("delete"); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.responses)
	maps.DeleteFunc(s.responses, func(_ string, r stored.Response) bool { return r.Expired(now) })
	return before - len(s.responses), nil
}
