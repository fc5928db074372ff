package ledger

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Reader reads usage from the ledger. It uses this machine's clock.
type Reader struct{ Store Store }

// Rows returns the rows of a subscription's minutes and hours that begin in [from, to).
// Add them up with [Join].
func (r Reader) Rows(ctx context.Context, subscription string, from, to time.Time) ([]Row, error) {
	return readMinutesAndHours(ctx, r.Store, SubscriptionPartition(subscription), from, to)
}

// A Series is usage over time, in whole spans.
type Series struct {
	// From is the start of the first span: the one that contains the requested time, or the
	// first one whose usage is still kept completely. To is the end of the last span.
	From, To time.Time
	// Written is when the running day was last written to. It is set only by Days, if the
	// running day is in the series and has rows. Usage of the 5 minutes before may be missing
	// from that day. Past days are complete, and any other series is at most 10 s behind.
	Written time.Time
	// Items are the spans with usage, sorted by time, subscription and model. They have no
	// subscription if the series is of all subscriptions together.
	Items []Usage
}

// emptySeries returns an empty series of the spans that have any part in [from, to), without
// those whose usage is no longer kept and those in the future.
func emptySeries(from, to time.Time, by Span, now time.Time) Series {
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

// firstKept returns the earliest time from which usage by a span is kept completely; zero if it
// is kept as long as days are.
func firstKept(by Span, now time.Time) time.Time {
	switch by {
	case Minute:
		return now.Add(-KeepMinutes).Truncate(time.Hour)
	case Hour:
		return firstHours(now)
	}
	return time.Time{}
}

// firstHours returns the first day whose hours are certain to be kept.
func firstHours(now time.Time) time.Time { return now.Truncate(oneDay).Add(-KeepHours) }

// Subscription returns a subscription's usage by span and model. Minutes go back KeepMinutes,
// hours KeepHours, days and months as far as days are kept.
func (r Reader) Subscription(ctx context.Context, id string, from, to time.Time, by Span) (Series, error) {
	now := time.Now().UTC()
	s := emptySeries(from, to, by, now)
	first := latest(s.From, firstHours(now)) // before that, there are only days
	rows, err := r.Rows(ctx, id, first, s.To)
	if err != nil {
		return s, err
	}
	sums := newSums(by)
	keys := func(d time.Time) (string, string) { return dayKeys(SubscriptionPartition(id), d) }
	if _, err := r.addDays(ctx, sums, s.From, first, keys); err != nil {
		return s, err
	}
	sums.add(Join(rows))
	s.Items = sums.items()
	return s, nil
}

// Minutes returns the usage of each subscription by minute and model. It reads the partitions
// of all subscriptions one by one, so it is for repair, not for screens.
func (r Reader) Minutes(ctx context.Context, from, to time.Time) (Series, error) {
	s := emptySeries(from, to, Minute, time.Now().UTC())
	for _, bounds := range [][2]string{{"", dayPrefix}, {dayPrefixEnd, ""}} {
		for partition, err := range r.Store.Partitions(ctx, bounds[0], bounds[1]) {
			if err != nil {
				return s, err
			}
			rows, err := readMinutesAndHours(ctx, r.Store, partition, s.From, s.To)
			if err != nil {
				return s, err
			}
			s.Items = append(s.Items, Join(rows)...)
		}
	}
	return s, nil
}

// AllSubscriptions returns the usage of all subscriptions together by span and model. Minutes
// go back KeepMinutes, all other spans KeepHours.
func (r Reader) AllSubscriptions(ctx context.Context, from, to time.Time, by Span) (Series, error) {
	now := time.Now().UTC()
	s := emptySeries(from, to, by, now)
	if first := firstHours(now); s.From.Before(first) {
		s.From = earliest(by.ceil(first), s.To)
	}
	sums := newSums(by)
	for usage, err := range eachDay(s.From, s.To, func(d time.Time) ([]Usage, error) {
		rows, err := readMinutesAndHours(ctx, r.Store, DayPartition(d), latest(d, s.From), earliest(d.Add(oneDay), s.To))
		return Join(rows), err
	}) {
		if err != nil {
			return s, err
		}
		sums.add(usage)
	}
	s.Items = sums.items()
	return s, nil
}

// Days returns the usage of each subscription by model, in the days or months that have any
// part in [from, to). It adds the days up as they are read, so a month takes no more memory
// than a few days and its sums.
func (r Reader) Days(ctx context.Context, from, to time.Time, by Span) (Series, error) {
	now := time.Now().UTC()
	s := Series{From: by.Floor(from)}
	s.To = latest(s.From, earliest(by.ceil(to), by.Next(now)))
	sums := newSums(by)
	written, err := r.addDays(ctx, sums, s.From, earliest(s.To, now), func(d time.Time) (string, string) { return FirstKey(Day, d), FirstKey(Day, d.Add(oneDay)) })
	if err != nil {
		return s, err
	}
	s.Written, s.Items = written, sums.items()
	return s, nil
}

// addDays adds the usage of the days in [from, to) to sums, reading a range of row keys of each
// day. It returns when the running day was last written.
func (r Reader) addDays(ctx context.Context, sums *sums, from, to time.Time, keys func(day time.Time) (from, to string)) (written time.Time, err error) {
	today := time.Now().UTC().Truncate(oneDay)
	for usage, err := range eachDay(from, to, func(d time.Time) ([]Usage, error) {
		first, end := keys(d)
		rows, err := collect(r.Store.Rows(ctx, DayPartition(d), first, end))
		rows = slices.DeleteFunc(rows, func(row Row) bool { return row.Subscription == "" }) // the mark of closed days
		if d.Equal(today) {
			for _, row := range rows {
				written = latest(written, row.Written)
			}
		}
		return Join(rows), err
	}) {
		if err != nil {
			return time.Time{}, err
		}
		sums.add(usage)
	}
	return written, nil
}

// eachDay reads the days that have any part in [from, to), up to maxConcurrent at a time, and
// yields the usage of each in order. It reads no further ahead than that, and stops after an
// error.
func eachDay(from, to time.Time, read func(day time.Time) ([]Usage, error)) iter.Seq2[[]Usage, error] {
	type result struct {
		usage []Usage
		err   error
	}
	return func(yield func([]Usage, error) bool) {
		if !from.Before(to) {
			return
		}
		var readers sync.WaitGroup
		defer readers.Wait()
		var ahead []chan result // of the days that are read, or being read, in order
		next := from.Truncate(oneDay)
		for {
			for next.Before(to) && len(ahead) < maxConcurrent {
				found, d := make(chan result, 1), next
				readers.Go(func() {
					usage, err := read(d)
					found <- result{usage, err}
				})
				ahead, next = append(ahead, found), next.Add(oneDay)
			}
			if len(ahead) == 0 {
				return
			}
			found := <-ahead[0]
			ahead = ahead[1:]
			if !yield(found.usage, found.err) || found.err != nil {
				return
			}
		}
	}
}

// sums adds up usage by span, subscription and model.
type sums struct {
	by     Span
	totals map[Key]*Totals
}

func newSums(by Span) *sums { return &sums{by, make(map[Key]*Totals)} }

func (s *sums) add(usage []Usage) {
	for _, u := range usage {
		key := u.Key
		key.Span, key.Start = s.by, s.by.Floor(u.Time()).Unix()/60
		if s.totals[key] == nil {
			s.totals[key] = &Totals{}
		}
		s.totals[key].Add(u.Totals)
	}
}

// items returns the sums, sorted by time, subscription and model.
func (s *sums) items() []Usage {
	all := make([]Usage, 0, len(s.totals))
	for _, key := range slices.SortedFunc(maps.Keys(s.totals), compare) {
		all = append(all, Usage{Key: key, Totals: *s.totals[key]})
	}
	return all
}

// A Ranked is a name and the totals of its usage.
type Ranked struct {
	Name string
	Totals
}

// Top groups usage by name and returns the n names with the largest totals, largest first, and
// the totals of all others. name returns the name to group by, such as the subscription or
// model, and measure the number to compare.
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
