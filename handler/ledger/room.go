package ledger

// hasRoom reports whether there is room for the entries of keys, of which some may be
// there already.
func (t *tally) hasRoom(keys []Key) bool {
	if t.entries+len(keys) <= t.most { // nearly always
		return true
	}
	needed := 0
	for _, key := range keys {
		if p := t.partitions[key.Partition()]; p == nil || p.entries[key] == nil {
			needed++
		}
	}
	return t.entries+needed <= t.most
}

// mergeModels makes room: it merges the models of each subscription's span, as far as
// nothing of them was ever sent. It looks at all entries, so it does that once a minute
// at most.
func (t *tally) mergeModels() {
	if t.merged == t.minute {
		return
	}
	t.merged = t.minute
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

// merge replaces entries by one.
func (t *tally) merge(p *partition, into Key, entries []*entry) {
	sum, since := p.entries[into], entries[0].since
	for _, e := range entries {
		if e.since.Before(since) {
			since = e.since
		}
	}
	if sum == nil {
		_, sum = t.entry(into)
		sum.since = since
	}
	for _, e := range entries {
		if e != sum {
			sum.count(e.fresh, since)
			t.drop(p, e)
		}
	}
}
