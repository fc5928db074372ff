// Package limit is the arithmetic of token limits: windows, credit, debt and
// burst, reservations and what they settle to. It is pure: no I/O, and the
// time is always an argument. All amounts are whole tokens, all windows UTC.
package limit

import "time"

// Period is the length of a quota's window.
type Period string

// The quota periods; weeks start on Monday.
const (
	Hourly  Period = "Hourly"
	Daily   Period = "Daily"
	Weekly  Period = "Weekly"
	Monthly Period = "Monthly"
	Yearly  Period = "Yearly"
)

// Limits are what a counter may spend.
type Limits struct {
	TokensPerMinute int64 // 0: no limit of the minute
	Burst           int64 // unused tokens that may be carried into later minutes
	Quota           int64 // tokens of a Period; 0: no quota
	Period          Period
	Version         int64 // of the tier they came from: only newer ones replace older
}

// Ask is what a call wants to reserve.
type Ask struct {
	Tokens int64
	// AtLeast lets a call that can do with less have what is left; 0: it can't.
	AtLeast int64
}

func (a Ask) least() int64 {
	if a.AtLeast > 0 {
		return min(a.AtLeast, a.Tokens)
	}
	return a.Tokens
}

// Usage is what a call took. CompletionTokens includes reasoning.
type Usage struct{ PromptTokens, CompletionTokens int64 }

// Total is what limits are charged.
func (u Usage) Total() int64 { return u.PromptTokens + u.CompletionTokens }

// Verdict is how a decision came out.
type Verdict int

// The verdicts. The last two will never be different, however long the call waits.
const (
	Granted Verdict = iota
	RateExceeded
	QuotaExceeded
	NeverFitsRate
	NeverFitsQuota
)

// Decision is the answer to an Ask.
type Decision struct {
	Verdict
	Tokens     int64         // reserved, where granted
	Least      int64         // what the call needs at least
	Most       int64         // where it never fits: the most that the limit can ever have
	RetryAfter time.Duration // until this very call would fit, debts paid; 0 where granted or never
	Standing   Standing
}

// Standing is where a counter stands.
type Standing struct {
	Limits
	Used           int64 // charged to this minute
	Remaining      int64 // of this minute, never below 0
	ResetAt        time.Time
	QuotaUsed      int64
	QuotaRemaining int64 // never below 0
	QuotaResetAt   time.Time
}
