package telemetry

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A Batch holds the metrics, the sampled calls and the events of one interval.
type Batch struct {
	Metrics []Metric
	Calls   []Sample
	Events  []Event
}

// An Event is something that happened to a limit rather than to a call. It is never
// sampled.
type Event struct {
	Name         string
	At           time.Time
	Properties   map[string]string // empty values are not sent
	Measurements map[string]float64
}

// A Sample is one call that stands for 1 ÷ Ratio calls.
type Sample struct {
	Call
	Ratio float64
}

// A Sink accepts batches. Send must not wait for the network. Dropped returns the
// number of items lost since the start, by reason. Close sends the remaining items; it
// returns an error if ctx ends first.
type Sink interface {
	Send(Batch)
	Dropped() map[string]int64
	Close(ctx context.Context) error
}

// Counters holds the shared counters' statistics since the process started.
type Counters struct {
	TableOperations  int64         // including failed ones
	LeaseConflicts   int64         // writes lost to another instance's
	ForfeitedLeases  int64         // of dead instances
	UnwrittenCharges int64         // times that charges to a counter were lost, or may have been
	UnwrittenTokens  int64         // tokens missing from the ledger
	Degraded         time.Duration // time during which the counters' store was down
}

// A Config configures a Reporter. Sink and Log are required.
type Config struct {
	Sink Sink
	Log  *slog.Logger
	// Interval is the time over which values are added up before they are sent: a
	// divisor of a minute, so that an interval never spans two minutes. Default 10 s.
	Interval time.Duration
	// Dimensions are the dimensions of the token metrics.
	Dimensions []Dimension
	// MaxSeries is the most sets of dimension values of a metric in an interval; the
	// values of further sets become "other". Default 1,000: Azure Monitor allows 50,000
	// active series for an Azure subscription and region in 12 hours.
	MaxSeries int
	// SampleRatio is the share of calls that get a request item, from 0 to 1.
	SampleRatio float64
	// TruncateIP replaces addresses by their networks.
	TruncateIP bool
	Place      Place
	// Counters returns the shared counters' statistics; if nil, none are sent.
	Counters func() Counters
}

// Defaults of Config.
const (
	DefaultInterval  = 10 * time.Second
	DefaultMaxSeries = 1000
)

const (
	// maxCalls is the most single calls kept in an interval, about 5 MB.
	maxCalls = 5000
	// maxEvents is the most events kept in an interval, about 1 MB.
	maxEvents = 1000
	// maxUnauthenticated is the most calls without an accepted credential that are kept
	// for each outcome: anyone can make a million of them.
	maxUnauthenticated = 10
)

// A Reporter adds up calls and sends them. Make one with New.
type Reporter struct {
	config Config

	mu      sync.Mutex
	current interval
	ended   []interval // not sent yet
	closed  bool

	stop, done chan struct{}

	// used only by the sending goroutine
	warned       bool
	lastCounters Counters
	lastDropped  map[string]int64
}

// An interval holds the values of one interval.
type interval struct {
	began           time.Time
	series          series
	calls           []Sample
	events          []Event
	excessCalls     int64                 // calls beyond maxCalls
	excessEvents    int64                 // events beyond maxEvents
	unauthenticated map[string]*reservoir // by outcome, of which there are few
}

// A reservoir is a uniform random sample of the calls added to it.
type reservoir struct {
	kept []Call
	seen int
}

func (c *reservoir) add(call Call) {
	c.seen++
	if len(c.kept) < maxUnauthenticated {
		c.kept = append(c.kept, call)
	} else if at := rand.IntN(c.seen); at < maxUnauthenticated {
		c.kept[at] = call
	}
}

// New returns a reporter and starts its sending goroutine.
func New(config Config) *Reporter {
	if config.Interval == 0 {
		config.Interval = DefaultInterval
	}
	if config.MaxSeries == 0 {
		config.MaxSeries = DefaultMaxSeries
	}
	r := &Reporter{config: config, stop: make(chan struct{}), done: make(chan struct{}), lastDropped: make(map[string]int64)}
	r.current = r.begin(time.Now())
	go r.run()
	return r
}

func (r *Reporter) begin(now time.Time) interval {
	return interval{began: now.Truncate(r.config.Interval), series: newSeries(r.config.MaxSeries), unauthenticated: make(map[string]*reservoir)}
}

// Report adds a finished call. It waits for nothing but other reports, and does
// nothing once the reporter is closed.
func (r *Reporter) Report(c Call) {
	if r.config.TruncateIP {
		c.ClientIP = truncated(c.ClientIP)
	}
	chosen := make([]pair, len(r.config.Dimensions))
	for i, d := range r.config.Dimensions {
		chosen[i] = pair{d.Name, clipped(d.value(&c, r.config.Place))}
	}
	c.Header = nil
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.rollOver(time.Now())
	r.current.series.call(&c, chosen)
	if sampled(c.TraceID, r.config.SampleRatio) {
		r.current.keep(c, r.config.SampleRatio)
	}
}

// Event adds an event. It waits for nothing but other reports, and does nothing once the
// reporter is closed.
func (r *Reporter) Event(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.rollOver(time.Now())
	if len(r.current.events) == maxEvents {
		r.current.excessEvents++
		return
	}
	r.current.events = append(r.current.events, e)
}

// keep keeps a call, so that it gets a request item of its own.
func (i *interval) keep(c Call, ratio float64) {
	switch {
	case c.Subscription == "":
		if i.unauthenticated[c.Outcome] == nil {
			i.unauthenticated[c.Outcome] = &reservoir{}
		}
		i.unauthenticated[c.Outcome].add(c)
	case len(i.calls) == maxCalls:
		i.excessCalls++
	default:
		i.calls = append(i.calls, Sample{c, ratio})
	}
}

// samples returns the calls that get request items.
func (i *interval) samples(ratio float64) []Sample {
	all := i.calls
	for _, sample := range i.unauthenticated {
		for _, c := range sample.kept {
			all = append(all, Sample{c, ratio * float64(len(sample.kept)) / float64(sample.seen)})
		}
	}
	return all
}

// rollOver ends the current interval if its time is over. The lock is held.
func (r *Reporter) rollOver(now time.Time) {
	if next := r.begin(now); next.began.After(r.current.began) {
		r.ended = append(r.ended, r.current)
		r.current = next
	}
}

// call adds a call to all metrics that it affects.
func (s *series) call(c *Call, chosen []pair) {
	who := []pair{{"Subscription ID", c.Subscription}, {"Product ID", c.Tier}}
	switch {
	case c.Refused:
		s.add(Refusals, 1, pair{"Reason", c.Outcome}, who[0], who[1])
	case c.Outcome != "":
		s.add(Failures, 1, pair{"Reason", c.Outcome}, who[0], who[1], pair{"Model", c.Model})
	}
	if c.Shadowed != "" {
		s.add(ShadowRefusals, 1, pair{"Reason", c.Shadowed}, who[0], who[1])
	}
	if c.Degraded {
		s.add(DegradedCalls, 1, who...)
	}
	if u := c.Usage; u != nil {
		for _, v := range u.Values() {
			s.add(v.Name, v.Amount, v.dimensions(chosen)...)
		}
		switch {
		case !u.Known:
			s.add(UnknownUsage, 1, pair{"Reason", c.Outcome}, who[0], who[1], pair{"Model", c.Model})
		case c.Estimate > 0:
			s.add(PromptEstimateError, float64(c.Estimate-u.PromptTokens), pair{"Model", c.Model})
		}
	}
	if up := c.Upstream; up != nil {
		where := []pair{{"Model", c.Model}, {"Backend ID", up.Endpoint}}
		if up.Latency > 0 {
			s.add(UpstreamLatency, Milliseconds(up.Latency), where...)
		}
		if up.FirstToken > 0 {
			s.add(TimeToFirstToken, Milliseconds(up.FirstToken), where...)
		}
	}
	s.limits(c)
}

// limits adds the refusals and standings of a call's limits. Every call and every instance
// reports the same counters, so only a counter's largest value counts, and values must
// never be added up.
func (s *series) limits(c *Call) {
	for _, by := range c.RefusedBy {
		of := append(by.dimensions(c.Tier), pair{"Quota Period", by.QuotaPeriod})
		if c.Shadowed != "" {
			of = append(of, pair{"Shadow", "true"})
		}
		s.add(LimitRefusals, 1, of...)
	}
	for _, at := range c.Standings {
		of := slices.Clip(at.dimensions(c.Tier))
		if at.Quota > 0 {
			period := append(of, pair{"Quota Period", at.QuotaPeriod}) // tells a quota that is used up from one whose period has ended
			s.gauge(QuotaUsed, Amount(at.Unit, at.QuotaUsed), period...)
			s.gauge(QuotaLimit, Amount(at.Unit, at.Quota), period...)
		}
		if at.PerMinute > 0 {
			s.gauge(MinuteUsed, Amount(at.Unit, at.Used), of...)
			s.gauge(MinuteLimit, Amount(at.Unit, at.PerMinute), of...)
		}
	}
}

// Milliseconds returns a duration in milliseconds, to the microsecond.
func Milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// sampled reports whether the calls of a trace get request items. It decides by the trace
// id, so that a trace is kept whole or not at all: its last 14 hexadecimal digits are random
// by W3C's rules.
// Source: https://www.w3.org/TR/trace-context-2/#random-trace-id-flag
func sampled(traceID string, ratio float64) bool {
	if ratio >= 1 {
		return true
	}
	random, err := strconv.ParseUint(traceID[max(0, len(traceID)-14):], 16, 64)
	return err == nil && float64(random) < ratio*math.Pow(2, 56)
}

// run sends each interval when it ends.
func (r *Reporter) run() {
	defer close(r.done)
	for {
		now := time.Now()
		timer := time.NewTimer(now.Truncate(r.config.Interval).Add(r.config.Interval).Sub(now))
		select {
		case <-timer.C:
			r.send(false)
		case <-r.stop:
			timer.Stop()
			r.send(true)
			return
		}
	}
}

// send passes every ended interval to the sink; with last also the current one.
func (r *Reporter) send(last bool) {
	r.mu.Lock()
	r.rollOver(time.Now())
	if last {
		r.ended = append(r.ended, r.current)
	}
	ended := r.ended
	r.ended = nil
	r.mu.Unlock()
	for i := range ended {
		r.finish(&ended[i], i == len(ended)-1)
	}
}

// finish adds the values that no call has, and passes the interval to the sink.
func (r *Reporter) finish(ended *interval, newest bool) {
	if newest {
		r.addProcessMetrics(&ended.series)
	}
	if ended.excessCalls > 0 {
		ended.series.add(TelemetryDropped, float64(ended.excessCalls), pair{"Reason", "burst"})
	}
	ended.series.addPositive(TelemetryDropped, float64(ended.excessEvents), pair{"Reason", "events"})
	if name := ended.series.overflow; name != "" && !r.warned {
		r.warned = true
		r.config.Log.Warn("a metric has too many sets of dimension values in one interval; further values become \"other\": choose METRIC_DIMENSIONS with fewer values, or raise METRIC_MAX_SERIES",
			"metric", name, "at_most", r.config.MaxSeries)
	}
	batch := Batch{Metrics: ended.series.metrics(ended.began, r.config.Place), Calls: ended.samples(r.config.SampleRatio), Events: ended.events}
	if len(batch.Metrics)+len(batch.Calls)+len(batch.Events) > 0 {
		r.config.Sink.Send(batch)
	}
}

// addProcessMetrics adds the changes of the counters' and the sink's statistics since the
// last interval.
func (r *Reporter) addProcessMetrics(s *series) {
	if r.config.Counters != nil {
		now, before := r.config.Counters(), r.lastCounters
		r.lastCounters = now
		s.addPositive(TableOperations, float64(now.TableOperations-before.TableOperations))
		s.addPositive(LeaseConflicts, float64(now.LeaseConflicts-before.LeaseConflicts))
		s.addPositive(ForfeitedLeases, float64(now.ForfeitedLeases-before.ForfeitedLeases))
		s.addPositive(UnwrittenCharges, float64(now.UnwrittenCharges-before.UnwrittenCharges))
		s.addPositive(UnwrittenTokens, float64(now.UnwrittenTokens-before.UnwrittenTokens))
		s.addPositive(DegradedSeconds, (now.Degraded - before.Degraded).Seconds())
	}
	for reason, total := range r.config.Sink.Dropped() {
		s.addPositive(TelemetryDropped, float64(total-r.lastDropped[reason]), pair{"Reason", reason})
		r.lastDropped[reason] = total
	}
}

// addPositive adds a value if it is above zero.
func (s *series) addPositive(name string, by float64, dimensions ...pair) {
	if by > 0 {
		s.add(name, by, dimensions...)
	}
}

// Close sends the current interval and waits until it is sent or ctx is done. Later
// reports are ignored.
func (r *Reporter) Close(ctx context.Context) error {
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	r.mu.Unlock()
	if first {
		close(r.stop)
	}
	<-r.done // doesn't block for long: Send doesn't wait
	return r.config.Sink.Close(ctx)
}
