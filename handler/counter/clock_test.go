package counter_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/limit"
)

// wrongTimes are the amounts by which a clock is off.
var wrongTimes = []time.Duration{61 * time.Second, 90 * time.Second, 5 * time.Minute, 14 * time.Minute, 16 * time.Minute, 3 * time.Hour, 40 * 24 * time.Hour, 1e5 * time.Hour,
	-61 * time.Second, -90 * time.Second, -14 * time.Minute, -16 * time.Minute, -3 * time.Hour, -40 * 24 * time.Hour}

// One of two instances gets the wrong date.
func TestOneWrongDateNeitherExceedsLimitsNorLosesTokens(t *testing.T) {
	terms := counter.Terms{Limits: limit.Limits{PerMinute: 300, Quota: 3000, Period: limit.Hourly, Version: 1}}
	for _, wrong := range wrongTimes {
		for at := 1; at <= 6; at++ {
			t.Run(fmt.Sprintf("%v at answer %d", wrong, at), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					time.Sleep(20*time.Minute + time.Second) // so that the hour doesn't end
					answers := 0
					store, misled := dated(func() time.Duration {
						if answers++; answers == at {
							return wrong
						}
						return 0
					})
					admitted := takeAll(t, terms, 4, instance(misled), instance(store))
					if admitted > 4*300 || admitted < 4*200 {
						t.Errorf("tokens admitted in 4 minutes of a limit of 300: got %d, want 800 to 1200", admitted)
					}
					if spent := written(t, store).PeriodSpent; spent < admitted {
						t.Errorf("tokens charged to the quota: got %d, want at least the %d that callers settled", spent, admitted)
					}
				})
			})
		}
	}
}

// takeAll has instances use all the tokens that they get in some minutes, and closes them.
func takeAll(t *testing.T, terms counter.Terms, minutes int, instances ...*counter.Counter) (admitted int64) {
	t.Helper()
	for range minutes * 12 {
		for _, c := range instances {
			if r, _ := reserve(t, c, terms, 25); r != nil {
				r.Settle(25)
				admitted += 25
			}
		}
		time.Sleep(5 * time.Second)
	}
	for _, c := range instances {
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	return admitted
}

// When the clock is right again, the running period's quota is still used up, and a later
// period still has no more than the clock that ran ahead left of it.
func TestAStoreWhoseClockRunsAheadGivesNoMinuteTwice(t *testing.T) {
	for _, period := range []limit.Period{limit.Hourly, limit.Daily, limit.Weekly, limit.Monthly} {
		for _, ahead := range []time.Duration{20 * time.Minute, 3 * time.Hour, 30 * time.Hour, 50 * 24 * time.Hour} {
			t.Run(fmt.Sprintf("%s, %v", period, ahead), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					time.Sleep(21*time.Hour + 35*time.Minute)
					terms := counter.Terms{Limits: limit.Limits{Quota: 100, Period: period, Version: 1}}
					off := time.Duration(0)
					store, link := dated(func() time.Duration { return off })
					today := period.Start(time.Now())
					before := takeAll(t, terms, 1, instance(link))
					off = ahead
					turned := !period.Start(time.Now().Add(ahead)).Equal(today)
					during := takeAll(t, terms, 3, instance(link)) // long enough to be believed
					off = 0
					after := takeAll(t, terms, 3, instance(link))
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
							if again := takeAll(t, terms, 1, instance(link)); again+during > 100 {
								t.Errorf("tokens admitted in one period: got %d while ahead and %d later, want at most 100 together", during, again)
							}
						}
					}
					if s := written(t, store); s.PeriodSpent > 100 {
						t.Errorf("tokens charged to the quota: got %d, want at most 100", s.PeriodSpent)
					}
				})
			})
		}
	}
}

// An instance whose own clock is wrong adopts the service's time within its first answers.
func TestATimeThatSeveralAnswersConfirmIsBelieved(t *testing.T) {
	for _, off := range wrongTimes {
		synctest.Test(t, func(t *testing.T) {
			store, link := dated(func() time.Duration { return off })
			c := instance(link)
			for range 4 {
				r, _ := reserve(t, c, counter.Terms{Limits: limit.Limits{PerMinute: 1_000_000, Version: 1}}, 25)
				if r == nil {
					t.Fatalf("a call with the clock off by %v: got it refused, want it granted", off)
				}
				r.Settle(25)
				time.Sleep(10 * time.Second)
			}
			if s, want := written(t, store), limit.Minute(time.Now().Add(off)); s.Window < want-1 || s.Window > want {
				t.Errorf("row with the clock off by %v: got the minute %d, want %d or the one before", off, s.Window, want)
			}
		})
	}
}
