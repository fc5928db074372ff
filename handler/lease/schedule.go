package lease

import "time"

// MinReportShare and MaxReportShare bound the share of a horizon after which an
// instance reports, and returns an idle lease. The rest of the horizon is for the
// write itself. Each instance has a share of its own: otherwise instances that start
// together at the beginning of a minute would go on writing at the same times, and
// conflict.
const MinReportShare, MaxReportShare = 0.6, 0.9

// reasons are the reasons to write although no call waits.
type reasons struct {
	since    time.Time // when the first unreported change happened; zero: there is none
	renew    bool      // the lease is low
	urgent   bool      // much excess is unreported
	evicting bool      // the agent is about to be evicted
	unused   bool      // a call left without its claim or grant, which others may need
}

// restore brings back the reasons for a write that failed.
func (r *reasons) restore(sent reasons) {
	if r.since.IsZero() || !sent.since.IsZero() && sent.since.Before(r.since) {
		r.since = sent.since
	}
	// renew is left out: the next call notices whether the lease is still low.
	r.urgent, r.unused = r.urgent || sent.urgent, r.unused || sent.unused
}

// A schedule decides when an instance reports.
type schedule struct {
	reportShare float64   // of a horizon
	lastCall    time.Time // when a call last began or ended
	next        reasons   // for the next write
	sent        reasons   // for the write in flight
}

// touch records that a call began or ended, and whether there is something to report
// since.
func (s *schedule) touch(mustReport bool, now time.Time) {
	s.lastCall = now
	switch {
	case !mustReport:
		s.next.since = time.Time{}
	case s.next.since.IsZero():
		s.next.since = now
	}
}

// reportWithin returns the time within which changes are reported.
func (s *schedule) reportWithin(live int) time.Duration {
	return time.Duration(s.reportShare * float64(Horizon(live)))
}

// reportAt returns the time of the next report: reportWithin after the first
// unreported change or, if there is none and some of the lease is spare, after the last
// call.
func (s *schedule) reportAt(h *Holder, spare int64, live int) time.Time {
	switch {
	case !s.next.since.IsZero() && h.mustReport():
		return s.next.since.Add(s.reportWithin(live))
	case spare > 0:
		return s.lastCall.Add(s.reportWithin(live))
	}
	return farAway
}

// idle reports whether no call has begun or ended for so long that the lease must be
// returned, whatever the demand was.
func (s *schedule) idle(live int, now time.Time) bool {
	return !now.Before(s.lastCall.Add(s.reportWithin(live)))
}

// startWrite moves the reasons to the write that is about to be sent: later ones are
// for the next write.
func (s *schedule) startWrite() { s.sent, s.next = s.next, reasons{} }
