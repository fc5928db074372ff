package ledger

import (
	"fmt"
	"strings"
	"time"
)

// A Span is a kind of time span: a minute, hour, day or month.
type Span string

// The spans. Each begins at a whole minute, hour, day or month in UTC. No row has the span
// Month: a Reader sums days to months.
const (
	Minute Span = "minute"
	Hour   Span = "hour"
	Day    Span = "day"
	Month  Span = "month"
)

// Length returns the length of a span, and of the shortest month for Month.
func (s Span) Length() time.Duration {
	switch s {
	case Minute:
		return time.Minute
	case Hour:
		return time.Hour
	case Month:
		return 28 * oneDay
	}
	return oneDay
}

// A Key says which calls a row counts.
type Key struct {
	// Subscription is the subscription's id, or empty in a headline row, which counts the
	// calls of all subscriptions.
	Subscription string
	// Model is the model's name as configured, empty for calls to a model that isn't
	// configured, or MergedModels.
	Model string
	// Span is the kind of the time span in which the calls ended.
	Span Span
	// Start is when the span begins, in minutes since 1970.
	Start int64
}

// MergedModels is the Model of a row that counts several models. A process merges models if,
// during an outage, it has no room for a row for each. No model can have this name.
const MergedModels = "(merged models)"

// Time returns when the key's span begins.
func (k Key) Time() time.Time { return time.Unix(k.Start*60, 0).UTC() }

// Partition returns the partition of the key's rows: the subscription's for its minutes and
// hours, and that of the UTC day for its days and for headline rows.
func (k Key) Partition() string {
	if k.Subscription == "" || k.Span == Day {
		return DayPartition(k.Time())
	}
	return SubscriptionPartition(k.Subscription)
}

// SubscriptionPartition returns the partition of a subscription's minutes and hours.
func SubscriptionPartition(subscription string) string { return escape(subscription) }

// DayPartition returns the partition of a UTC day's headline rows and days. No subscription's
// partition has this name, because it contains a separator.
func DayPartition(day time.Time) string {
	return string(day.UTC().AppendFormat([]byte(dayPrefix), time.DateOnly))
}

// Bounds of the names that DayPartition returns.
const (
	dayPrefix    = "all" + separator
	dayPrefixEnd = "all}" // '}' follows the separator
)

// Sum is the Process of rows that housekeeping writes. It sorts after the ids of processes,
// which consist of capital letters and digits. So if a day's rows are replaced by their sum
// while they are being listed, the list that has the old rows also has the sum.
const Sum = "sum"

// A Row holds the totals of a key, as counted by one process or, if Process is Sum, by several
// processes.
type Row struct {
	Key
	// Process is the id of the process that writes the row, or Sum.
	Process string
	// Revision is 1 in the first write of the row, and one higher in each write of different
	// content.
	Revision int64
	Totals
	// Taken is set in the sum of a minute. It says what the sum took of each process's row;
	// Totals is the sum of it. It is kept until the minute becomes part of an hour, because
	// until then a process may read it, or a late row may arrive.
	Taken map[string]Taken
	// Version is the version of the stored row; empty: it is not stored.
	Version Version
	// Written is when the store wrote the row, by the store's clock; zero: it is not stored.
	Written time.Time
}

// Taken is what a sum took of a process's row: the row's totals at a revision.
type Taken struct {
	Revision int64
	Totals
}

// RowKey returns the row's key in its partition. It consists of the span's first letter and
// start, for a day the subscription, the model, and the process. Rows of a span are sorted by
// time. Sums of minutes begin with "s", apart from the minutes that are yet to be rolled up.
func (r Row) RowKey() string {
	parts := []string{FirstKey(r.Span, r.Time()), escape(r.Model), escape(r.Process)}
	if r.Span == Minute && r.Process == Sum {
		parts[0] = FirstSumKey(r.Time())
	}
	if r.Span == Day {
		parts = []string{parts[0], escape(r.Subscription), parts[1], parts[2]}
	}
	return strings.Join(parts, separator)
}

// FirstKey returns the lowest row key of rows of a span that begin at or after a time. For
// Minute, these are the rows of processes; see FirstSumKey.
func FirstKey(span Span, at time.Time) string { return string(span[0]) + formatMinute(at) }

// FirstSumKey returns the lowest row key of sums of minutes that begin at or after a time.
func FirstSumKey(at time.Time) string { return "s" + formatMinute(at) }

// formatMinute returns the first whole minute at or after a time, in the format of row keys.
func formatMinute(at time.Time) string {
	if up := at.UTC().Truncate(time.Minute); up.Before(at) {
		at = up.Add(time.Minute)
	}
	return at.UTC().Format("2006-01-02T15:04")
}

// dayKeys returns the range of row keys of a subscription's day. partition is the partition of
// the subscription's minutes.
func dayKeys(partition string, day time.Time) (from, to string) {
	from = FirstKey(Day, day) + separator + partition
	return from + separator, from + "}" // '}' follows the separator
}

// separator separates the parts of a key. No escaped part contains it.
const separator = "|"

// escape encodes a text so that Table Storage accepts it in a key, and so that it contains no
// separator. Letters, digits, '-', '_' and '.' stay; any other byte becomes '!' and its hex
// digits. Source:
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
