package ledger

import (
	"fmt"
	"strings"
	"time"
)

// A Span is the length of time that totals are of.
type Span string

// The spans. One begins at a whole minute, hour, day or month of UTC. No row is of a
// month: that is for what readers sum.
const (
	Minute Span = "minute"
	Hour   Span = "hour"
	Day    Span = "day"
	Month  Span = "month"
)

// Length returns the span's time, of a month the least.
func (s Span) Length() time.Duration {
	switch s {
	case Minute:
		return time.Minute
	case Hour:
		return time.Hour
	case Month:
		return 28 * day
	}
	return day
}

// A Key tells what a row's totals are of.
type Key struct {
	// Subscription is a subscription's id, or empty in a headline row, which is of all
	// subscriptions.
	Subscription string
	// Model is the model's name as the operators configured it, empty for calls that
	// named no such model, or MergedModels.
	Model string
	// Span is the time that the totals are of.
	Span Span
	// Start is when the span begins, in minutes since 1970.
	Start int64
}

// MergedModels is the name of the row that holds the totals of several models, after an
// outage that left no room for a row each. No model may have it.
const MergedModels = "(merged models)"

// Time returns when the key's span begins.
func (k Key) Time() time.Time { return time.Unix(k.Start*60, 0).UTC() }

// Partition returns where the key's rows stand: with the subscription's others, or with
// those that are read across subscriptions.
func (k Key) Partition() string {
	if k.Subscription == "" || k.Span == Day {
		return AcrossPartition(k.Time())
	}
	return Partition(k.Subscription)
}

// Partition returns the partition of a subscription's minutes and hours.
func Partition(subscription string) string { return escape(subscription) }

// AcrossPartition returns the partition of a UTC day's headline rows and days. No
// subscription has it: an escaped name has no separator.
func AcrossPartition(day time.Time) string {
	return string(day.UTC().AppendFormat([]byte(across), time.DateOnly))
}

// Bounds of the partitions that are read across subscriptions.
const (
	across    = "all" + separator
	acrossEnd = "all}" // '}' follows the separator
)

// Sum is the process of rows that housekeeping writes. It sorts after all others, whose
// ids have capital letters and digits, so that a list of days that had a process's row
// before it was replaced has the sum that replaced it further on.
const Sum = "sum"

// A Row holds the totals of a key, as one process counted them or, if Process is Sum, of
// several processes.
type Row struct {
	Key
	// Process is the id of the process that writes the row, or Sum.
	Process string
	// Revision counts the row's contents: each write with another content has the next
	// one, the first has 1.
	Revision int64
	Totals
	// Taken has, in the sum of a minute, what it took of each process's row: Totals is the
	// sum of them all. It is kept while these processes might ask, or a late row of theirs
	// might come, which is until the minute becomes part of an hour.
	Taken map[string]Taken
	// Version is the store's mark of the stored row, empty if it is not stored.
	Version Version
	// Written is when the store wrote the row, by the store's clock; zero if it is not
	// stored.
	Written time.Time
}

// Taken is what a sum took of a process's row: its content at a revision.
type Taken struct {
	Revision int64
	Totals
}

// RowKey returns the row's key in its partition: the span's first letter and start, the
// subscription in a day, the model and the process. Rows sort by time, and sums of minutes
// stand apart from what roll-up has yet to sum.
func (r Row) RowKey() string {
	parts := []string{From(r.Span, r.Time()), escape(r.Model), escape(r.Process)}
	if r.Span == Minute && r.Process == Sum {
		parts[0] = FromSum(r.Time())
	}
	if r.Span == Day {
		parts = []string{parts[0], escape(r.Subscription), parts[1], parts[2]}
	}
	return strings.Join(parts, separator)
}

// From returns the least row key of the rows of a span that begin at or after a time; of
// minutes, those that processes wrote.
func From(span Span, at time.Time) string { return string(span[0]) + minuteFrom(at) }

// FromSum returns the least row key of the sums of minutes that begin at or after a time.
func FromSum(at time.Time) string { return "s" + minuteFrom(at) }

// minuteFrom returns the first whole minute at or after a time, as row keys have it.
func minuteFrom(at time.Time) string {
	if up := at.UTC().Truncate(time.Minute); up.Before(at) {
		at = up.Add(time.Minute)
	}
	return at.UTC().Format("2006-01-02T15:04")
}

// daysOf returns the bounds of the row keys of a subscription's day, by the partition of
// its minutes.
func daysOf(partition string, day time.Time) (from, to string) {
	from = From(Day, day) + separator + partition
	return from + separator, from + "}" // '}' follows the separator
}

// separator stands between the parts of a key. No escaped part has it.
const separator = "|"

// escape returns a text that Table Storage accepts in a key, with no separator in it: all
// but letters, digits and a few marks in hex after '!'. Source:
// https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model#characters-disallowed-in-key-fields
func escape(text string) string {
	if strings.IndexFunc(text, isSpecial) < 0 {
		return text
	}
	var escaped strings.Builder
	for i := range len(text) {
		if c := text[i]; isSpecial(rune(c)) {
			fmt.Fprintf(&escaped, "!%02X", c)
		} else {
			escaped.WriteByte(c)
		}
	}
	return escaped.String()
}

func isSpecial(c rune) bool {
	return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.')
}
