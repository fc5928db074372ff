// Package memstore keeps counters in memory, for tests and for trying out a gateway without
// storage. It is exact for one process; nothing persists. Start reading at Store.
package memstore

import (
	"context"
	"strconv"
	"sync"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/lease"
)

// Store is a counter.Store and a counter.Lister in memory. Make one with New.
type Store struct {
	mu      sync.Mutex
	rows    map[string]stored
	version int64 // of the last write to any row
	now     func() time.Time
}

// A stored is a row with its version.
type stored struct {
	row     lease.Row
	version counter.Version
}

var _ counter.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store { return NewAt(time.Now) }

// NewAt returns an empty store whose answers have the time that now returns.
func NewAt(now func() time.Time) *Store { return &Store{rows: make(map[string]stored), now: now} }

// Load implements counter.Store.
func (s *Store) Load(_ context.Context, key string) (lease.Row, counter.Version, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.rows[key]
	if !ok {
		return lease.Row{}, "", s.now(), counter.ErrNotFound
	}
	return found.row.Clone(), found.version, s.now(), nil
}

// Swap implements counter.Store.
func (s *Store) Swap(_ context.Context, key string, row lease.Row, version counter.Version) (counter.Version, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows[key].version != version {
		return "", s.now(), counter.ErrConflict
	}
	s.version++
	s.rows[key] = stored{row.Clone(), counter.Version(strconv.FormatInt(s.version, 10))}
	return s.rows[key].version, s.now(), nil
}
