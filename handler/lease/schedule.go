package lease

import "time"

// MinReportShare and MaxReportShare bound the share of a horizon after which
// an instance reports and returns an idle lease. The rest is for the write
// itself. Each instance has a share of its own: otherwise instances that the
// start of a minute sets off together would write at the same times, and
// conflict, for ever.
const MinReportShare, MaxReportShare = 0.6, 0.9

// Reasons are why an instance writes although no call waits.
type reasons struct {
	since    time.Time // when the first unreported change happened; zero: there is none
	renew    bool      // the lease is low
	urgent   bool      // much excess is unreported
	evicting bool      // the counter is about to be forgotten
	unused   bool      // a call left what was set aside for it, and others may need it
}

// restore brings back the reasons for a write that failed.
func (r *reasons) restore(sent reasons) {
	if r.since.IsZero() || !sent.since.IsZero() && sent.since.Before(r.since) {
		r.since = sent.since
	}
	r.urgent, r.unused = r.urgent || sent.urgent, r.unused || sent.unused // not renew: the next call notices whether the lease is still low
}

// A schedule says when an instance reports, and why.
type schedule struct {
	reportShare float64   // of a horizon
	lastCall    time.Time // when a call last began or ended
	next        reasons   // for the next write
	sent        reasons   // for the one under way
}

// touch records that a call began or ended, and whether there is something to
// report.
func (s *schedule) touch(mustReport bool, now time.Time) {
	s.lastCall = now
	switch {
	case !mustReport:
		s.next.since = time.Time{}
	case s.next.since.IsZero():
		s.next.since = now
	}
}

// after returns the time within which changes are reported.
func (s *schedule) reportWithin(live int) time.Duration {
	return time.Duration(s.reportShare * float64(Horizon(live)))
}

// reportAt returns the time of the next report: most of a horizon after the
// first unreported change, or after the last call if some of the lease is spare.
func (s *schedule) reportAt(h *Holder, spare int64, live int) time.Time {
	switch {
	case !s.next.since.IsZero() && h.MustReport():
		return s.next.since.Add(s.reportWithin(live))
	case spare > 0:
		return s.lastCall.Add(s.reportWithin(live))
	}
	return farAway
}

// idle reports whether no call has begun or ended for so long that the lease
// is returned, whatever the demand was.
func (s *schedule) idle(live int, now time.Time) bool {
	return !now.Before(s.lastCall.Add(s.reportWithin(live)))
}

// send begins a write: what happens from now on is for the next one.
func (s *schedule) startWrite() { s.sent, s.next = s.next, reasons{} }
