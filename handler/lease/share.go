package lease

import (
	"time"

	"tollgate/handler/limit"
)

// unknownShare is an instance's share of the limits, in percent, if it has never
// read the counter, so that it doesn't know how many others there are.
const unknownShare = 25

// maxOwed bounds the amount that a call owes. With FailOpen a call may ask for any
// amount, and the sum of a few would overflow.
const maxOwed = 1 << 40

// A share is what an instance may admit by itself while the store is down, and what
// it has admitted of it.
type share struct {
	minute  int64 // the minute of allowed and spent
	allowed int64 // amount that may be admitted in the minute
	spent   int64 // amount that was admitted in the minute
	owed    int64 // amount that open calls owe, in whichever minute they were admitted
}

// current reports whether the share is for the minute of now.
func (s *share) current(now time.Time) bool { return s.minute == limit.Minute(now) }

// end ends the share, as the store is back. Open calls still owe their amounts.
func (s *share) end() { s.minute, s.allowed, s.spent = 0, 0, 0 }

// left returns what may still be admitted in the minute.
func (s *share) left() int64 { return s.allowed - s.spent }

// admit counts a call that is admitted, and returns its hold.
func (s *share) admit(amount int64) Hold {
	owed := min(amount, maxOwed)
	s.spent += owed
	s.owed += owed
	return Hold{owed: owed, owedMinute: s.minute}
}

// adjust changes what a call counts for in the share. An increase counts in the
// running minute, as any debt does; a decrease counts only if that is the minute when
// the call was admitted.
func (s *share) adjust(hold Hold, change int64, now time.Time) {
	if hold.owedMinute > 0 && s.current(now) && (change > 0 || hold.owedMinute == s.minute) {
		s.spent = max(0, s.spent+change)
	}
}
