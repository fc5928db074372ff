package telemetry

import (
	"context"
	"log/slog"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// Batch is what one interval gathered.
type Batch struct {
	Metrics []Metric
	Calls   []Sample
}

// Sample is one call that stands for 1 ÷ Ratio calls.
type Sample struct {
	Call
	Ratio float64
}

// Sink takes batches. Send must not wait for a network. Dropped is how many
// items were lost since the start, by reason. Close sends what is left; its
// error says what could not be sent by ctx's end.
type Sink interface {
	Send(Batch)
	Dropped() map[string]int64
	Close(ctx context.Context) error
}

// Counters are what the shared counters did since the process began.
type Counters struct {
	TableOperations int64 // failed ones included
	LeaseConflicts  int64 // writes that came too late
	ForfeitedTokens int64 // leased by instances that died
	UnwrittenTokens int64 // of writes whose fate can't be told any more
	Degraded        time.Duration
}

// Config is what a Reporter is made of. Sink and Log are needed.
type Config struct {
	Sink Sink
	Log  *slog.Logger
	// Interval is how long values are gathered before they are sent; a divisor
	// of a minute, so that no value falls into the wrong one. Default 10 s.
	Interval time.Duration
	// Dimensions tell token metrics apart.
	Dimensions []Dimension
	// MaxSeries bounds the sets of dimensions of a metric in an interval; what
	// is beyond goes by "other". Default 1,000: Azure Monitor allows 50,000
	// active series of a subscription and region in 12 hours.
	MaxSeries int
	// SampleRatio is the share of calls told of singly, from 0 to 1.
	SampleRatio float64
	// TruncateIP keeps of addresses only the network.
	TruncateIP bool
	Place      Place
	// Counters reads what the shared counters did; nil: nothing is told of them.
	Counters func() Counters
}

// Defaults of Config.
const (
	DefaultInterval  = 10 * time.Second
	DefaultMaxSeries = 1000
)

const (
	// maxCalls bounds the single calls kept of an interval, about 5 MB of them.
	maxCalls = 5000
	// maxStrangers bounds, for each outcome, the calls kept of callers without an
	// accepted credential: anybody can make a million calls.
	maxStrangers = 10
)

// Reporter gathers calls. Make one with New.
type Reporter struct {
	config Config

	mu      sync.Mutex
	current interval
	ended   []interval // not yet sent
	closed  bool

	stop, done chan struct{}

	// of the sending goroutine alone
	warned  bool
	counted Counters
	dropped map[string]int64
}

// interval is what is being gathered.
type interval struct {
	began     time.Time
	series    series
	calls     []Sample
	excess    int64             // calls beyond maxCalls
	strangers map[string]*crowd // by outcome, of which there are few
}

// crowd is a sample of like calls, in which each has the same chance to be.
type crowd struct {
	kept []Call
	seen int
}

func (c *crowd) add(call Call) {
	c.seen++
	if len(c.kept) < maxStrangers {
		c.kept = append(c.kept, call)
	} else if at := rand.IntN(c.seen); at < maxStrangers {
		c.kept[at] = call
	}
}

// New makes a reporter and begins to send.
func New(config Config) *Reporter {
	if config.Interval == 0 {
		config.Interval = DefaultInterval
	}
	if config.MaxSeries == 0 {
		config.MaxSeries = DefaultMaxSeries
	}
	r := &Reporter{config: config, stop: make(chan struct{}), done: make(chan struct{}), dropped: make(map[string]int64)}
	r.current = r.begin(time.Now())
	go r.run()
	return r
}

func (r *Reporter) begin(now time.Time) interval {
	return interval{began: now.Truncate(r.config.Interval), series: newSeries(r.config.MaxSeries), strangers: make(map[string]*crowd)}
}

// Report takes a finished call. It never waits for anything but other reports,
// and does nothing once the reporter is closed.
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
	r.turn(time.Now())
	r.current.series.call(&c, chosen)
	if sampled(c.TraceID, r.config.SampleRatio) {
		r.current.keep(c, r.config.SampleRatio)
	}
}

// keep keeps a call to be told of singly.
func (i *interval) keep(c Call, ratio float64) {
	switch {
	case c.Subscription == "":
		if i.strangers[c.Outcome] == nil {
			i.strangers[c.Outcome] = &crowd{}
		}
		i.strangers[c.Outcome].add(c)
	case len(i.calls) == maxCalls:
		i.excess++
	default:
		i.calls = append(i.calls, Sample{c, ratio})
	}
}

// samples are the calls to be told of singly.
func (i *interval) samples(ratio float64) []Sample {
	all := i.calls
	for _, crowd := range i.strangers {
		for _, c := range crowd.kept {
			all = append(all, Sample{c, ratio * float64(len(crowd.kept)) / float64(crowd.seen)})
		}
	}
	return all
}

// turn ends the current interval where its time is over. The lock is held.
func (r *Reporter) turn(now time.Time) {
	if next := r.begin(now); next.began.After(r.current.began) {
		r.ended = append(r.ended, r.current)
		r.current = next
	}
}

// call counts all that a call adds to the metrics.
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
		s.add(PromptTokens, float64(u.PromptTokens), chosen...)
		s.add(CompletionTokens, float64(u.CompletionTokens), chosen...)
		s.add(TotalTokens, float64(u.PromptTokens+u.CompletionTokens), chosen...)
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
			s.add(UpstreamLatency, milliseconds(up.Latency), where...)
		}
		if up.FirstToken > 0 {
			s.add(TimeToFirstToken, milliseconds(up.FirstToken), where...)
		}
	}
	if at := c.Standing; at != nil && at.Quota > 0 {
		period := pair{"Quota Period", at.QuotaPeriod} // tells a used quota from a period that is over
		s.gauge(QuotaUsed, float64(at.QuotaUsed), who[0], who[1], period)
		s.gauge(QuotaLimit, float64(at.Quota), who[0], who[1], period)
	}
	if at := c.Standing; at != nil && at.TokensPerMinute > 0 {
		s.gauge(MinuteLimit, float64(at.TokensPerMinute), who...)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// sampled decides by the trace, so that a trace is told of whole or not at
// all: the last 14 hexadecimal digits are random by W3C's rules.
// Source: https://www.w3.org/TR/trace-context-2/#random-trace-id-flag
func sampled(traceID string, ratio float64) bool {
	if ratio >= 1 {
		return true
	}
	random, err := strconv.ParseUint(traceID[max(0, len(traceID)-14):], 16, 64)
	return err == nil && float64(random) < ratio*math.Pow(2, 56)
}

// run sends what was gathered at every interval's end.
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

// send hands over every interval that has ended; at the last also the current one.
func (r *Reporter) send(last bool) {
	r.mu.Lock()
	r.turn(time.Now())
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

// finish completes one interval by what isn't any call's, and hands it over.
func (r *Reporter) finish(ended *interval, newest bool) {
	if newest {
		r.count(&ended.series)
	}
	if ended.excess > 0 {
		ended.series.add(TelemetryDropped, float64(ended.excess), pair{"Reason", "burst"})
	}
	if name := ended.series.overflow; name != "" && !r.warned {
		r.warned = true
		r.config.Log.Warn("a metric has too many sets of dimensions in one interval: what is beyond goes by other; choose METRIC_DIMENSIONS with fewer values",
			"metric", name, "at_most", r.config.MaxSeries)
	}
	batch := Batch{Metrics: ended.series.metrics(ended.began, r.config.Place), Calls: ended.samples(r.config.SampleRatio)}
	if len(batch.Metrics)+len(batch.Calls) > 0 {
		r.config.Sink.Send(batch)
	}
}

// count adds what the counters and the sink did since it was last asked.
func (r *Reporter) count(s *series) {
	if r.config.Counters != nil {
		now, before := r.config.Counters(), r.counted
		r.counted = now
		s.grown(TableOperations, float64(now.TableOperations-before.TableOperations))
		s.grown(LeaseConflicts, float64(now.LeaseConflicts-before.LeaseConflicts))
		s.grown(ForfeitedTokens, float64(now.ForfeitedTokens-before.ForfeitedTokens))
		s.grown(UnwrittenTokens, float64(now.UnwrittenTokens-before.UnwrittenTokens))
		s.grown(DegradedSeconds, (now.Degraded - before.Degraded).Seconds())
	}
	for reason, total := range r.config.Sink.Dropped() {
		s.grown(TelemetryDropped, float64(total-r.dropped[reason]), pair{"Reason", reason})
		r.dropped[reason] = total
	}
}

// grown adds a value where there is one.
func (s *series) grown(name string, by float64, dimensions ...pair) {
	if by > 0 {
		s.add(name, by, dimensions...)
	}
}

// Close sends what was gathered, and waits until it is sent or ctx is done.
// Reports that come later are not counted.
func (r *Reporter) Close(ctx context.Context) error {
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	r.mu.Unlock()
	if first {
		close(r.stop)
	}
	<-r.done // Send waits for nothing, so neither does this
	return r.config.Sink.Close(ctx)
}
