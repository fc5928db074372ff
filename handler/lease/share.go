package lease

import (
	"time"

	"tollgate/handler/limit"
)

// unknownShare is an instance's share of the limits, in percent, if it doesn't
// know how many others there are.
const unknownShare = 25

// maxOwed bounds the amount that a call counts for while it is under way: a
// call that isn't refused may have any cap, and the sum of a few would
// overflow.
const maxOwed = 1 << 40

// A share counts what an instance admits by itself while the store is down.
type share struct {
	minute  int64 // minute of allowed and spent
	allowed int64 // amount
	spent   int64 // of this minute
	owed    int64 // amount of calls under way that were admitted so, in any minute
}

// of reports whether the share is of this time's minute.
func (s *share) current(now time.Time) bool { return s.minute == limit.Minute(now) }

// end ends the share: the store is back.
func (s *share) end() { s.minute, s.allowed, s.spent = 0, 0, 0 }

// left returns what may still be admitted.
func (s *share) left() int64 { return s.allowed - s.spent }

// admit counts a call in, and returns its hold.
func (s *share) admit(amount int64) Hold {
	owed := min(amount, maxOwed)
	s.spent += owed
	s.owed += owed
	return Hold{owed: owed, owedMinute: s.minute}
}

// adjust changes what a call counts for by more or less. More counts
// in the running minute, as any debt does; less only in the minute when the
// call was admitted.
func (s *share) adjust(c Hold, change int64, now time.Time) {
	if c.owedMinute > 0 && s.current(now) && (change > 0 || c.owedMinute == s.minute) {
		s.spent = max(0, s.spent+change)
	}
}
