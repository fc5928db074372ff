package counter_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/counter/memstore"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// dated is a store whose answers may carry a wrong time.
type dated struct {
	*memstore.Store
	answers int
	wrong   func(answer int) time.Duration // by how much, for each answer from 1
}

func (d *dated) date() time.Time {
	d.answers++
	return time.Now().Truncate(time.Second).Add(d.wrong(d.answers))
}

func (d *dated) Load(ctx context.Context, key string) (lease.Row, counter.Version, time.Time, error) {
	state, version, _, err := d.Store.Load(ctx, key)
	return state, version, d.date(), err
}

func (d *dated) Swap(ctx context.Context, key string, state lease.Row, version counter.Version) (counter.Version, time.Time, error) {
	next, _, err := d.Store.Swap(ctx, key, state, version)
	return next, d.date(), err
}

// wrongTimes are errors of a clock.
var wrongTimes = []time.Duration{61 * time.Second, 90 * time.Second, 5 * time.Minute, 14 * time.Minute, 16 * time.Minute, 3 * time.Hour, 40 * 24 * time.Hour, 1e5 * time.Hour,
	-61 * time.Second, -90 * time.Second, -14 * time.Minute, -16 * time.Minute, -3 * time.Hour, -40 * 24 * time.Hour}

// TestOneWrongDateNeitherExceedsLimitsNorLosesTokens if one of two instances gets
// it.
func TestOneWrongDateNeitherExceedsLimitsNorLosesTokens(t *testing.T) {
	terms := counter.Terms{Limits: limit.Limits{PerMinute: 300, Quota: 3000, Period: limit.Hourly, Version: 1}}
	for _, wrong := range wrongTimes {
		for at := 1; at <= 6; at++ {
			t.Run(fmt.Sprintf("%v at answer %d", wrong, at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					time.Sleep(20*time.Minute + time.Second) // so that the hour doesn't end
					shared := memstore.New()
					misled := &dated{Store: shared, wrong: func(answer int) time.Duration {
						if answer == at {
							return wrong
						}
						return 0
					}}
					passed := takeAll(t, terms, 4, instance(misled), instance(shared))
					if passed > 4*300 || passed < 4*200 {
						t.Errorf("tokens admitted in 4 minutes of a limit of 300: got %d, want 800 to 1200", passed)
					}
					if spent := written(t, shared).PeriodSpent; spent < passed {
						t.Errorf("tokens charged to the quota: got %d, want at least the %d that callers settled", spent, passed)
					}
				})
			})
		}
	}
}

// takeAll makes instances take all the tokens they can get for some minutes, and closes them.
func takeAll(t *testing.T, terms counter.Terms, minutes int, instances ...*counter.Counter) (passed int64) {
	t.Helper()
	for range minutes * 12 {
		for _, c := range instances {
			if r, _ := reserve(t, c, terms, 25); r != nil {
				r.Settle(25)
				passed += 25
			}
		}
		time.Sleep(5 * time.Second)
	}
	for _, c := range instances {
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	return passed
}

// TestAStoreWhoseClockRunsAheadGivesNoMinuteTwice: when the clock is right again,
// today's quota is still used up, and tokens already taken of tomorrow's stay
// taken.
func TestAStoreWhoseClockRunsAheadGivesNoMinuteTwice(t *testing.T) {
	for _, period := range []limit.Period{limit.Hourly, limit.Daily, limit.Weekly, limit.Monthly} {
		for _, ahead := range []time.Duration{20 * time.Minute, 3 * time.Hour, 30 * time.Hour, 50 * 24 * time.Hour} {
			t.Run(fmt.Sprintf("%s, %v", period, ahead), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					time.Sleep(21*time.Hour + 35*time.Minute)
					terms := counter.Terms{Limits: limit.Limits{Quota: 100, Period: period, Version: 1}}
					shared := memstore.New()
					astray := time.Duration(0)
					store := &dated{Store: shared, wrong: func(int) time.Duration { return astray }}
					today := period.Start(time.Now())
					before := takeAll(t, terms, 1, instance(store))
					astray = ahead
					turned := !period.Start(time.Now().Add(ahead)).Equal(today)
					during := takeAll(t, terms, 3, instance(store)) // long enough to be believed
					astray = 0
					after := takeAll(t, terms, 3, instance(store))
					switch {
					case before != 100 || after != 0:
						t.Errorf("tokens admitted: got %d before and %d after the clock ran ahead, want 100 and 0", before, after)
					case turned && during > 100 || !turned && during > 0:
						t.Errorf("tokens admitted while the clock was ahead: got %d (period turned: %t), want at most 100, and 0 unless the period turned", during, turned)
					}
					if turned && during > 0 {
						time.Sleep(time.Until(period.Next(today)) + time.Minute)
						for !period.Start(time.Now()).Equal(period.Start(time.Now().Add(-time.Minute))) {
							time.Sleep(time.Minute)
						}
						if later := period.Start(time.Now()); later.Equal(period.Start(today.Add(ahead + 21*time.Hour))) {
							if again := takeAll(t, terms, 1, instance(store)); again+during > 100 {
								t.Errorf("tokens admitted in one period: got %d while ahead and %d later, want at most 100 together", during, again)
							}
						}
					}
					if s := written(t, shared); s.PeriodSpent > 100 {
						t.Errorf("tokens charged to the quota: got %d, want at most 100", s.PeriodSpent)
					}
				})
			})
		}
	}
}

// TestATimeThatSeveralAnswersConfirmIsBelieved: an instance whose own clock is
// wrong adopts the service's time within its first answers.
func TestATimeThatSeveralAnswersConfirmIsBelieved(t *testing.T) {
	for _, off := range wrongTimes {
		synctest.Test(t, func(t *testing.T) {
			store := &dated{Store: memstore.New(), wrong: func(int) time.Duration { return off }}
			c := instance(store)
			for range 4 {
				r, _ := reserve(t, c, counter.Terms{Limits: limit.Limits{PerMinute: 1_000_000, Version: 1}}, 25)
				if r == nil {
					t.Fatalf("clock off by %v: got the call refused, want it granted", off)
				}
				r.Settle(25)
				time.Sleep(10 * time.Second)
			}
			if s, want := written(t, store), limit.Minute(time.Now().Add(off)); s.Window < want-1 || s.Window > want {
				t.Errorf("clock off by %v: got the counter at minute %d, want %d or the one before", off, s.Window, want)
			}
		})
	}
}
