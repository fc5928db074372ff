// Package memstore keeps a ledger in memory, for tests and for running a gateway without a
// storage account. A Fault makes operations fail. Start reading at New.
package memstore

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"tollgate/handler/ledger"
)

// A Fault decides the outcome of an operation, which is "apply", "rows" or "partitions". If it
// returns an error, the operation fails with it. If it also returns apply, the changes are
// applied nevertheless, as if the answer had been lost.
type Fault func(operation string) (apply bool, err error)

// Store keeps rows in memory. Make one with New.
type Store struct {
	mu      sync.Mutex
	rows    map[string]map[string]ledger.Row // by partition and row key
	version int64
	fault   Fault
}

var _ ledger.Store = (*Store)(nil)

// New returns an empty store. fault may be nil.
func New(fault Fault) *Store {
	if fault == nil {
		fault = func(string) (bool, error) { return true, nil }
	}
	return &Store{rows: make(map[string]map[string]ledger.Row), fault: fault}
}

// Apply implements ledger.Store.
func (s *Store) Apply(_ context.Context, changes []ledger.Change) ([]ledger.Version, error) {
	if err := ledger.CheckTransaction(changes); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	apply, failed := s.fault("apply")
	if failed != nil && !apply {
		return nil, failed
	}
	partition := changes[0].Partition()
	for _, c := range changes {
		stored, there := s.rows[partition][c.RowKey()]
		switch {
		case c.Version == "" && there, there && stored.Version != c.Version:
			return nil, ledger.ErrConflict
		case c.Version != "" && !there:
			return nil, ledger.ErrNotFound
		}
	}
	if s.rows[partition] == nil {
		s.rows[partition] = make(map[string]ledger.Row)
	}
	versions := make([]ledger.Version, len(changes))
	for i, c := range changes {
		if c.Delete {
			delete(s.rows[partition], c.RowKey())
			continue
		}
		s.version++
		versions[i] = ledger.Version(strconv.FormatInt(s.version, 10))
		c.Row.Version, c.Row.Written = versions[i], time.Now().UTC()
		s.rows[partition][c.RowKey()] = clone(c.Row)
	}
	if failed != nil {
		return nil, failed
	}
	return versions, nil
}

// Rows implements ledger.Store. It yields the rows that exist when it is called.
func (s *Store) Rows(_ context.Context, partition, from, to string) iter.Seq2[ledger.Row, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.fault("rows")
	var found []string
	for key := range s.rows[partition] {
		if key >= from && (to == "" || key < to) {
			found = append(found, key)
		}
	}
	slices.Sort(found)
	rows := make([]ledger.Row, len(found))
	for i, key := range found {
		rows[i] = clone(s.rows[partition][key])
	}
	return func(yield func(ledger.Row, error) bool) {
		if err != nil {
			yield(ledger.Row{}, err)
			return
		}
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
	}
}

// Partitions implements ledger.Store. It yields the partitions that exist when it is called.
func (s *Store) Partitions(_ context.Context, from, to string) iter.Seq2[string, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.fault("partitions")
	var found []string
	for partition, rows := range s.rows {
		if len(rows) > 0 && partition >= from && (to == "" || partition < to) {
			found = append(found, partition)
		}
	}
	slices.Sort(found)
	return func(yield func(string, error) bool) {
		if err != nil {
			yield("", err)
			return
		}
		for _, partition := range found {
			if !yield(partition, nil) {
				return
			}
		}
	}
}

// clone returns a copy of a row that shares no map with it.
func clone(row ledger.Row) ledger.Row {
	row.RefusedBy, row.Taken = maps.Clone(row.RefusedBy), maps.Clone(row.Taken)
	for process, taken := range row.Taken {
		taken.RefusedBy = maps.Clone(taken.RefusedBy)
		row.Taken[process] = taken
	}
	return row
}
