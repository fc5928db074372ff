// Package memstore keeps counters and their history in memory: for tests, and
// for trying out a gateway without storage. A Fault makes its operations
// fail. Start with New and NewHistory.
package memstore

import (
	"context"
	"strconv"
	"sync"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
)

// A Fault decides the outcome of an operation, "load" or "swap": with an
// error the operation fails, and a swap is applied nevertheless if apply is
// true.
type Fault func(operation string) (apply bool, err error)

// Store keeps counters in memory. Make one with New.
type Store struct {
	mu      sync.Mutex
	rows    map[string]row
	version int64
	fault   Fault
	now     func() time.Time
}

type row struct {
	state   limit.State
	version counter.Version
}

var _ counter.Store = (*Store)(nil)

// New returns an empty store. fault may be nil.
func New(fault Fault) *Store { return NewAt(time.Now, fault) }

// NewAt makes an empty store whose clock is now. fault may be nil.
func NewAt(now func() time.Time, fault Fault) *Store {
	return &Store{rows: make(map[string]row), fault: fault, now: now}
}

// Load implements counter.Store.
func (s *Store) Load(_ context.Context, key string) (limit.State, counter.Version, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		if _, err := s.fault("load"); err != nil {
			return limit.State{}, "", time.Time{}, err
		}
	}
	found, ok := s.rows[key]
	if !ok {
		return limit.State{}, "", s.now(), counter.ErrNotFound
	}
	return found.state.Clone(), found.version, s.now(), nil
}

// Swap implements counter.Store.
func (s *Store) Swap(_ context.Context, key string, state limit.State, version counter.Version) (counter.Version, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var failed error
	if s.fault != nil {
		apply, err := s.fault("swap")
		if err != nil && !apply {
			return "", time.Time{}, err
		}
		failed = err
	}
	if s.rows[key].version != version {
		return "", s.now(), counter.ErrConflict
	}
	s.version++
	s.rows[key] = row{state.Clone(), counter.Version(strconv.FormatInt(s.version, 10))}
	return s.rows[key].version, s.now(), failed
}
