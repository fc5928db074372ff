package ledger

// hasRoom reports whether there is room for the entries of keys. Some of them may exist
// already.
func (t *tally) hasRoom(keys []Key) bool {
	if t.entries+len(keys) <= t.maxEntries { // nearly always
		return true
	}
	needed := 0
	for _, key := range keys {
		if p := t.partitions[key.Partition()]; p == nil || p.entries[key] == nil {
			needed++
		}
	}
	return t.entries+needed <= t.maxEntries
}

// mergeModels makes room by merging entries that differ only in the model, if they were never
// sent. It runs at most once a minute, because it looks at all entries.
func (t *tally) mergeModels() {
	if t.mergedAt == t.minute {
		return
	}
	t.mergedAt = t.minute
	for _, p := range t.partitions {
		mergeable := make(map[Key][]*entry)
		for _, e := range p.entries {
			if !e.sending && e.revision == 0 {
				into := e.key
				into.Model = MergedModels
				mergeable[into] = append(mergeable[into], e)
			}
		}
		for into, entries := range mergeable {
			if len(entries) > 1 {
				t.merge(p, into, entries)
			}
		}
	}
}

// merge replaces entries by the one of a key.
func (t *tally) merge(p *partition, into Key, entries []*entry) {
	sum, since := p.entries[into], entries[0].unsentSince
	for _, e := range entries {
		if e.unsentSince.Before(since) {
			since = e.unsentSince
		}
	}
	if sum == nil {
		_, sum = t.entry(into)
		sum.unsentSince = since
	}
	for _, e := range entries {
		if e != sum {
			sum.count(e.unsent, since)
			t.drop(p, e)
		}
	}
}
