package memstore

import (
	"context"
	"iter"
	"maps"
	"slices"

	"tollgate/handler/counter"
)

var _ counter.Lister = (*Store)(nil)

// List implements counter.Lister. It yields the counters that exist when it
// is called.
func (s *Store) List(context.Context) iter.Seq2[counter.Entry, error] {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := maps.Clone(s.rows)
	return func(yield func(counter.Entry, error) bool) {
		for _, key := range slices.Sorted(maps.Keys(rows)) {
			found := rows[key]
			if !yield(counter.Entry{Key: key, Row: found.row.Clone(), Version: found.version}, nil) {
				return
			}
		}
	}
}

// Delete implements counter.Lister.
func (s *Store) Delete(_ context.Context, key string, version counter.Version) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch found, there := s.rows[key]; {
	case !there:
		return counter.ErrNotFound
	case found.version != version:
		return counter.ErrConflict
	}
	delete(s.rows, key)
	return nil
}
