package ledger

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Reader reads what the ledger says. Its times are this machine's.
type Reader struct{ Store Store }

// Rows returns the rows of a subscription's minutes and hours that begin in [from, to).
// [Join] tells what they say.
func (r Reader) Rows(ctx context.Context, subscription string, from, to time.Time) ([]Row, error) {
	return read(ctx, r.Store, Partition(subscription), from, to)
}

// A Series is usage over time, in whole spans.
type Series struct {
	// From is when the first span begins: that of the time asked for, or the first of which
	// the ledger has everything. To is when the last one ends.
	From, To time.Time
	// Written is when the running day was last written to, in a series that is read from the
	// days' rows; zero if it isn't, if that day isn't in the series, or if it has no rows.
	// What happened in the 5 minutes before may be missing. Days that are over have
	// everything, and any other series is at most 10 s behind.
	Written time.Time
	// Items are the sums of the spans with usage, by time, subscription if they are of
	// several, and model.
	Items []Usage
}

// newSeries returns an empty series of the spans that have any of [from, to), as far as
// their usage is kept and not in the future.
func newSeries(from, to time.Time, by Span, now time.Time) Series {
	s := Series{From: by.Floor(from), To: by.ceil(to)}
	if first := firstKept(by, now); s.From.Before(first) {
		s.From = by.ceil(first)
	}
	if end := by.Next(now); s.To.After(end) {
		s.To = end
	}
	s.From = earliest(s.From, s.To)
	return s
}

// firstKept returns the time from which on all rows of a span, or of what sums it, are
// kept; zero if that depends on how long days are.
func firstKept(by Span, now time.Time) time.Time {
	switch by {
	case Minute:
		return now.Add(-MinutesFor).Truncate(time.Hour)
	case Hour:
		return firstHours(now)
	}
	return time.Time{}
}

// firstHours returns the first day of which hours are surely kept.
func firstHours(now time.Time) time.Time { return now.Truncate(day).Add(-HoursFor) }

// Subscription returns a subscription's usage by span and model. Minutes reach back
// MinutesFor, hours HoursFor, days and months as far as days are kept.
func (r Reader) Subscription(ctx context.Context, id string, from, to time.Time, by Span) (Series, error) {
	now := time.Now().UTC()
	s := newSeries(from, to, by, now)
	first := latest(s.From, firstHours(now)) // before that, there are only days
	rows, err := r.Rows(ctx, id, first, s.To)
	if err != nil {
		return s, err
	}
	days, _, err := r.days(ctx, s.From, first, func(d time.Time) (string, string) { return daysOf(Partition(id), d) })
	s.Items = sumBy(append(days, Join(rows)...), by)
	return s, err
}

// Minutes returns the usage of each subscription by minute and model. It reads the
// partitions of all subscriptions one after the other: it is for repair, not for screens.
func (r Reader) Minutes(ctx context.Context, from, to time.Time) (Series, error) {
	s := newSeries(from, to, Minute, time.Now().UTC())
	for _, bounds := range [][2]string{{"", across}, {acrossEnd, ""}} {
		for partition, err := range r.Store.Partitions(ctx, bounds[0], bounds[1]) {
			if err != nil {
				return s, err
			}
			rows, err := read(ctx, r.Store, partition, s.From, s.To)
			if err != nil {
				return s, err
			}
			s.Items = append(s.Items, Join(rows)...)
		}
	}
	return s, nil
}

// Everyone returns the usage of all subscriptions together by span and model. Minutes
// reach back MinutesFor, all others HoursFor.
func (r Reader) Everyone(ctx context.Context, from, to time.Time, by Span) (Series, error) {
	now := time.Now().UTC()
	s := newSeries(from, to, by, now)
	if first := firstHours(now); s.From.Before(first) {
		s.From = earliest(by.ceil(first), s.To)
	}
	usage, err := eachDay(s.From, s.To, func(d time.Time) ([]Usage, error) {
		rows, err := read(ctx, r.Store, AcrossPartition(d), latest(d, s.From), earliest(d.Add(day), s.To))
		return Join(rows), err
	})
	s.Items = sumBy(usage, by)
	return s, err
}

// Days returns the usage of all subscriptions in the days or months that have any of
// [from, to).
func (r Reader) Days(ctx context.Context, from, to time.Time, by Span) (Series, error) {
	now := time.Now().UTC()
	d := Series{From: by.Floor(from)}
	d.To = latest(d.From, earliest(by.ceil(to), by.Next(now)))
	usage, written, err := r.days(ctx, d.From, earliest(d.To, now), func(at time.Time) (string, string) { return From(Day, at), From(Day, at.Add(day)) })
	d.Written, d.Items = written, sumBy(usage, by)
	return d, err
}

// days returns what the days in [from, to) say in a range of row keys, and when the
// running one was last written to.
func (r Reader) days(ctx context.Context, from, to time.Time, bounds func(day time.Time) (from, to string)) (usage []Usage, written time.Time, err error) {
	var mu sync.Mutex
	today := time.Now().UTC().Truncate(day)
	usage, err = eachDay(from, to, func(d time.Time) ([]Usage, error) {
		first, end := bounds(d)
		rows, err := list(r.Store.Rows(ctx, AcrossPartition(d), first, end))
		rows = slices.DeleteFunc(rows, func(row Row) bool { return row.Subscription == "" }) // the mark of closed days
		if d.Equal(today) {
			mu.Lock()
			defer mu.Unlock()
			for _, row := range rows {
				written = latest(written, row.Written)
			}
		}
		return Join(rows), err
	})
	return usage, written, err
}

// eachDay reads the days that have any of [from, to), several at a time, and returns what
// they say in their order.
func eachDay(from, to time.Time, read func(day time.Time) ([]Usage, error)) (all []Usage, err error) {
	if !from.Before(to) {
		return nil, nil
	}
	type result struct {
		usage []Usage
		err   error
	}
	var results []*result
	var readers sync.WaitGroup
	defer readers.Wait()
	room := make(chan struct{}, maxConcurrent)
	for d := from.Truncate(day); d.Before(to); d = d.Add(day) {
		found := &result{}
		results = append(results, found)
		room <- struct{}{}
		readers.Go(func() {
			defer func() { <-room }()
			found.usage, found.err = read(d)
		})
	}
	readers.Wait()
	for _, found := range results {
		if found.err != nil {
			return nil, found.err
		}
		all = append(all, found.usage...)
	}
	return all, nil
}

// sumBy sums usage by span, and by subscription and model as it is.
func sumBy(usage []Usage, by Span) []Usage {
	sums := make(map[Key]*Totals)
	for _, u := range usage {
		key := u.Key
		key.Span, key.Start = by, by.Floor(u.Time()).Unix()/60
		if sums[key] == nil {
			sums[key] = &Totals{}
		}
		sums[key].Add(u.Totals)
	}
	all := make([]Usage, 0, len(sums))
	for _, key := range slices.SortedFunc(maps.Keys(sums), compare) {
		all = append(all, Usage{Key: key, Totals: *sums[key]})
	}
	return all
}

// A Ranked is what one name's usage comes to.
type Ranked struct {
	Name string
	Totals
}

// Top returns the n names of usage with the largest sums, largest first, and the sum of
// all others. name tells whose usage it is, such as its subscription or model, and measure
// what is compared.
func Top(usage []Usage, name func(Key) string, measure func(Totals) int64, n int) (top []Ranked, others Totals) {
	sums := make(map[string]*Totals)
	for _, u := range usage {
		of := name(u.Key)
		if sums[of] == nil {
			sums[of] = &Totals{}
		}
		sums[of].Add(u.Totals)
	}
	for of, sum := range sums {
		top = append(top, Ranked{of, *sum})
	}
	slices.SortFunc(top, func(a, b Ranked) int {
		return cmp.Or(cmp.Compare(measure(b.Totals), measure(a.Totals)), strings.Compare(a.Name, b.Name))
	})
	for _, left := range top[min(n, len(top)):] {
		others.Add(left.Totals)
	}
	return top[:min(n, len(top))], others
}
