package model

import (
	"slices"
	"time"

	"tollgate/handler/limit"
)

var noon = time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC)

// tier returns limits whose quota never runs out: it serves as an account in which no
// amount may be lost or made.
func tier(perMinute, burst int64) limit.Limits {
	return limit.Limits{PerMinute: perMinute, Burst: burst, Quota: 1000, Period: limit.Yearly, Version: 1}
}

// Times of clocks: soon after the first minute's start, when a report is due, and in
// later minutes.
var (
	oneMoment    = []time.Duration{5 * time.Second}
	oneMinute    = []time.Duration{5 * time.Second, 10 * time.Second}
	twoMinutes   = []time.Duration{5 * time.Second, 65 * time.Second}
	threeMinutes = []time.Duration{5 * time.Second, 65 * time.Second, 125 * time.Second}
)

// unsettled are the Uses of calls that never end: no call may use -1.
var unsettled = []int64{-1}

// base returns the world that others change: two instances, two minutes, and two calls
// which each use a part of what they reserve.
func base(name string, change func(*World)) World {
	w := World{Name: name, Instances: 2, Clocks: Clocks{Start: noon, Times: twoMinutes, Skew: 1}, Tiers: Tiers{Limits: tier(4, 2)},
		Callers: Callers{Calls: 2, Asks: []int64{2}, Uses: []int64{1}}}
	change(&w)
	return w
}

// Worlds returns the worlds in which all promises must hold.
func Worlds() []World {
	return slices.Concat(clockWorlds(), troubleWorlds(), limitWorlds(), storeWorlds(), queueWorlds(), outageWorlds(), pairWorlds(), questionWorlds())
}

// clockWorlds vary minutes and clocks.
func clockWorlds() []World {
	return []World{
		base("two minutes", func(w *World) { w.Callers.Uses = nil }),
		base("clocks two minutes apart", func(w *World) { w.Times, w.Skew, w.Callers.Uses = threeMinutes, 2, unsettled }),
		base("reports and idle leases", func(w *World) { w.Times, w.Limits = oneMinute, tier(16, 2) }),
		base("excess becomes debt", func(w *World) { w.Callers.Excess, w.Callers.Asks, w.Callers.Uses = 2, []int64{1}, []int64{3} }),
		base("a raise is taken back", func(w *World) {
			w.Callers.Raise, w.Callers.Asks, w.Callers.Calls, w.Callers.Uses = 3, []int64{1}, 1, nil
		}),
		base("a raise over the end of a lease", func(w *World) {
			w.Callers.Raise, w.Callers.Asks, w.Instances, w.Times, w.Limits, w.Callers.Uses = 1, []int64{1}, 1, threeMinutes, tier(8, 0), []int64{0, 2}
		}),
		base("a lease comes back late", func(w *World) {
			w.Full, w.Callers.Asks, w.Callers.Uses, w.Times = true, []int64{6}, []int64{0}, threeMinutes
		}),
		base("a clock two minutes ahead", func(w *World) { w.Trouble.WrongTimes, w.Trouble.ClockError, w.Skew = 1, 2*time.Minute, 0 }),
		base("a clock two minutes behind", func(w *World) { w.Trouble.WrongTimes, w.Trouble.ClockError, w.Skew = 1, -2*time.Minute, 0 }),
		base("a clock far ahead", func(w *World) { w.Trouble.WrongTimes, w.Trouble.ClockError, w.Skew = 1, 16*time.Minute, 0 }),
		base("the minute of a clock far ahead comes", func(w *World) {
			w.Trouble.WrongTimes, w.Trouble.ClockError, w.Instances, w.Callers.Asks, w.Callers.Uses = 1, 16*time.Minute, 1, []int64{4}, unsettled
			w.Times = []time.Duration{5 * time.Second, 65 * time.Second, 16*time.Minute + 5*time.Second}
		}),
		base("leases expire", func(w *World) { w.Times, w.Limits = []time.Duration{5 * time.Second, 29 * time.Second}, tier(16, 0) }),
	}
}

// troubleWorlds vary lost answers, crashes and stops.
func troubleWorlds() []World {
	return []World{
		base("lost and late answers", func(w *World) { w.Trouble.Faults, w.Times, w.Callers.Uses = 1, oneMoment, nil }),
		base("a lost answer while minutes turn", func(w *World) { w.Trouble.Faults, w.Callers.Calls, w.Callers.Uses = 1, 1, nil }),
		base("one lost answer after another", func(w *World) { w.Instances, w.Trouble.Faults = 1, 3 }),
		base("a raise and a lost answer", func(w *World) {
			w.Callers.Raise, w.Trouble.Faults, w.Callers.Asks, w.Callers.Calls = 2, 1, []int64{1}, 1
		}),
		base("slow answers", func(w *World) { w.Trouble.Slow, w.Times, w.Callers.Uses = 2, oneMoment, nil }),
		base("slow answers while minutes turn", func(w *World) { w.Trouble.Slow, w.Callers.Calls = 1, 1 }),
		base("a reclaim at any time", func(w *World) { w.Trouble.Reclaims, w.Times, w.Callers.Uses = 1, oneMoment, nil }),
		base("a reclaim before the answer", func(w *World) { w.Trouble.Reclaims, w.Trouble.Slow, w.Callers.Calls = 1, 1, 1 }),
		base("two lost answers and a reclaim", func(w *World) { w.Trouble.Faults, w.Trouble.Reclaims, w.Times, w.Callers.Calls = 2, 1, oneMoment, 1 }),
		base("a tombstone is dropped", func(w *World) {
			w.Trouble.Faults, w.Trouble.Reclaims, w.Trouble.Purges, w.Times, w.Callers.Calls = 1, 1, 1, oneMoment, 1
		}),
		base("a crash and a new start", func(w *World) { w.Trouble.Crashes, w.Trouble.Reclaims, w.Callers.Calls = 1, 1, 1 }),
		base("a crash with a write on its way", func(w *World) { w.Trouble.Crashes, w.Trouble.Faults, w.Times = 1, 1, oneMoment }),
		base("an instance stops", func(w *World) { w.Trouble.Stops, w.Times = 1, oneMinute }),
		base("an instance stops while answers are lost", func(w *World) { w.Trouble.Stops, w.Trouble.Faults, w.Times, w.Instances = 1, 2, oneMoment, 1 }),
	}
}

// limitWorlds vary quotas, changes of limits, and decisions.
func limitWorlds() []World {
	return []World{
		base("a quota alone", func(w *World) { w.Limits = limit.Limits{Quota: 3, Period: limit.Yearly, Version: 1} }),
		base("a quota beside a limit", func(w *World) { w.Limits.Quota = 3 }),
		base("alerts at percents of a quota", func(w *World) {
			w.Limits.Quota, w.Callers.AlertAt, w.Callers.Uses, w.Trouble.Faults, w.Times = 4, []int{50, 100}, []int64{2}, 1, oneMoment
		}),
		base("a quota's period turns", func(w *World) {
			w.Limits.Quota, w.Limits.Period = 3, limit.Hourly
			w.Start = w.Start.Add(59 * time.Minute)
		}),
		base("a raised tier", func(w *World) { w.Newer, w.Times = []limit.Limits{newer(tier(6, 2))}, oneMoment }),
		base("a cut tier", func(w *World) {
			w.Limits, w.Newer, w.Callers.Uses = tier(4, 1), []limit.Limits{newer(tier(1, 1))}, unsettled
		}),
		base("calls that can do with less", func(w *World) {
			w.Callers.Asks, w.Callers.MinAsk, w.Callers.Cancel, w.Times = []int64{3}, 1, true, oneMinute
		}),
		base("refusals by one instance", func(w *World) {
			w.Instances, w.Callers.Asks, w.Callers.Calls, w.Times, w.Callers.Cancel = 1, []int64{1, 3}, 4, oneMoment, true
		}),
		base("refusals while answers are slow", func(w *World) {
			w.Instances, w.Callers.Asks, w.Callers.Calls, w.Times, w.Trouble.Slow = 1, []int64{1, 3}, 3, oneMinute, 1
		}),
		base("calls in shadow", func(w *World) { w.Callers.Shadow, w.Callers.Calls, w.Times = true, 3, oneMoment }),
		base("three instances", func(w *World) { w.Instances, w.Times, w.Limits = 3, oneMoment, tier(4, 2) }),
	}
}

// storeWorlds have counters that are missing or deleted.
func storeWorlds() []World {
	return []World{
		base("the counter isn't there yet", func(w *World) { w.Absent, w.Trouble.Faults, w.Callers.Calls = true, 1, 1 }),
		base("the counter is deleted", func(w *World) { w.Trouble.Deletes, w.Trouble.Faults, w.Times = 1, 1, oneMoment }),
		base("the counter is made and deleted", func(w *World) { w.Absent, w.Trouble.Deletes, w.Trouble.Faults, w.Times = true, 1, 1, oneMoment }),
	}
}

// queueWorlds have calls that queue.
func queueWorlds() []World {
	return []World{
		base("calls queue at one instance", func(w *World) {
			w.Instances, w.Callers.Calls, w.Callers.Asks, w.Callers.MaxWait, w.Callers.Leave, w.Callers.Cancel = 1, 3, []int64{3}, time.Minute, true, true
		}),
		base("calls queue at two instances", func(w *World) { w.Callers.Asks, w.Callers.MaxWait = []int64{3}, time.Minute }),
		base("small calls queue behind large ones", func(w *World) {
			w.Instances, w.Callers.Calls, w.Callers.Asks, w.Callers.MaxWait, w.Callers.Cancel = 1, 3, []int64{1, 4}, time.Minute, true
		}),
		base("a deadline passes", func(w *World) {
			w.Instances, w.Callers.Calls, w.Callers.Asks, w.Callers.MaxWait = 1, 3, []int64{4}, 62*time.Second
			w.Times = []time.Duration{5 * time.Second, 65 * time.Second, 70 * time.Second}
		}),
		base("a deadline passes while answers are lost", func(w *World) {
			w.Instances, w.Callers.Calls, w.Callers.Asks, w.Callers.MaxWait, w.Trouble.Faults, w.Trouble.Slow = 1, 2, []int64{4}, 62*time.Second, 1, 1
			w.Times = []time.Duration{5 * time.Second, 65 * time.Second, 70 * time.Second}
		}),
		base("callers leave while answers are slow", func(w *World) {
			w.Instances, w.Callers.Calls, w.Callers.Asks, w.Callers.MaxWait, w.Callers.Leave, w.Trouble.Slow = 1, 3, []int64{3}, time.Minute, true, 2
		}),
		base("a raised tier while calls queue", func(w *World) {
			w.Instances, w.Callers.Calls, w.Callers.Asks, w.Callers.MaxWait, w.Newer = 1, 3, []int64{3}, time.Minute, []limit.Limits{newer(tier(9, 0))}
		}),
	}
}

// outageWorlds have a store that goes down and comes back.
func outageWorlds() []World {
	down := func(name string, modes []limit.StoreDown, change func(*World)) World {
		return base(name, func(w *World) {
			w.Trouble.Outages, w.Callers.OnDown, w.Limits = 1, modes, tier(8, 0)
			change(w)
		})
	}
	return []World{
		down("closed while the store is down", []limit.StoreDown{limit.FailClosed}, func(w *World) { w.Instances = 1 }),
		down("open while the store is down", []limit.StoreDown{limit.FailOpen}, func(w *World) { w.Times = oneMoment }),
		down("degraded at one instance", []limit.StoreDown{limit.Degrade}, func(w *World) { w.Instances, w.Times = 1, oneMinute }),
		down("degraded at two instances", []limit.StoreDown{limit.Degrade}, func(w *World) { w.Times, w.Callers.Uses = oneMoment, unsettled }),
		down("degraded by what was known before", []limit.StoreDown{limit.Degrade}, func(w *World) { w.Times, w.Callers.Uses, w.Callers.Calls = oneMoment, unsettled, 3 }),
		down("degraded over a minute's end", []limit.StoreDown{limit.Degrade}, func(w *World) { w.Instances, w.Callers.Asks = 1, []int64{4} }),
		down("all modes at one instance", []limit.StoreDown{limit.FailClosed, limit.Degrade, limit.FailOpen}, func(w *World) { w.Instances, w.Times, w.Callers.Uses = 1, oneMoment, unsettled }),
		down("calls queue and the store goes down", []limit.StoreDown{limit.Degrade}, func(w *World) {
			w.Instances, w.Callers.Asks, w.Callers.MaxWait, w.Callers.Leave, w.Limits = 1, []int64{3}, time.Minute, true, tier(4, 0)
		}),
		down("a stop while the store is down", []limit.StoreDown{limit.FailOpen}, func(w *World) { w.Instances, w.Trouble.Stops, w.Times = 1, 1, oneMoment }),
		down("a raise while the store is down", []limit.StoreDown{limit.Degrade}, func(w *World) { w.Instances, w.Callers.Raise, w.Callers.Calls = 1, 2, 1 }),
		down("a lost answer and an outage", []limit.StoreDown{limit.Degrade}, func(w *World) { w.Instances, w.Trouble.Faults, w.Callers.Calls = 1, 1, 1 }),
	}
}

// pairWorlds have calls that need two counters.
func pairWorlds() []World {
	return []World{
		base("two counters", func(w *World) { w.Counters, w.Instances, w.Callers.Asks, w.Times = 2, 1, []int64{3}, oneMoment }),
		base("two counters and two instances", func(w *World) { w.Counters, w.Callers.Asks, w.Times = 2, []int64{3}, oneMoment }),
		base("two counters and calls that queue", func(w *World) {
			w.Counters, w.Instances, w.Callers.Asks, w.Callers.MaxWait = 2, 1, []int64{3}, time.Minute
		}),
		base("two counters and callers that leave", func(w *World) {
			w.Counters, w.Instances, w.Callers.Asks, w.Callers.MaxWait, w.Callers.Leave, w.Times = 2, 1, []int64{3}, time.Minute, true, oneMoment
		}),
		base("calls meet in two counters", func(w *World) {
			w.Counters, w.Instances, w.Callers.Calls, w.Callers.Asks, w.Times, w.Limits = 2, 1, 3, []int64{3}, oneMoment, tier(4, 0)
		}),
		base("two counters that refuse different calls", func(w *World) {
			w.Counters, w.Instances, w.Callers.Calls, w.Callers.Asks, w.Callers.AskElsewhere, w.Times, w.Limits, w.Callers.Uses = 2, 1, 3, []int64{1, 4}, 2, oneMoment, tier(4, 0), unsettled
		}),
		base("calls queue at one of two counters", func(w *World) {
			w.Counters, w.Instances, w.Callers.Calls, w.Callers.Asks, w.Callers.AskElsewhere, w.Callers.MaxWait, w.Limits, w.Callers.Uses = 2, 1, 2, []int64{3}, 1, time.Minute, tier(4, 0), unsettled
		}),
		base("a call's time ends behind a claim", func(w *World) {
			w.Counters, w.Instances, w.Callers.Asks, w.Callers.AskElsewhere, w.Callers.MaxWait, w.Times, w.Limits = 2, 1, []int64{3}, 1, 4*time.Second, oneMinute, tier(4, 0)
		}),
		base("a raise takes a claim", func(w *World) {
			w.Counters, w.Instances, w.Callers.Asks, w.Callers.Raise, w.Times, w.Limits = 2, 1, []int64{1}, 1, oneMoment, tier(4, 0)
		}),
		base("two counters in shadow", func(w *World) {
			w.Counters, w.Instances, w.Callers.Calls, w.Callers.Asks, w.Callers.AskElsewhere, w.Callers.Shadow, w.Times = 2, 1, 3, []int64{3}, 1, true, oneMoment
		}),
		base("two counters and an outage", func(w *World) {
			w.Counters, w.Instances, w.Callers.Calls, w.Callers.Asks, w.Trouble.Outages, w.Callers.OnDown, w.Times, w.Callers.Uses = 2, 1, 1, []int64{2}, 1, []limit.StoreDown{limit.Degrade}, oneMoment, unsettled
		}),
		base("two counters and a stop", func(w *World) {
			w.Counters, w.Instances, w.Callers.Asks, w.Callers.MaxWait, w.Trouble.Stops, w.Times = 2, 1, []int64{3}, time.Minute, 1, oneMoment
		}),
		base("two counters and a lost answer", func(w *World) {
			w.Counters, w.Instances, w.Callers.Asks, w.Times, w.Trouble.Faults = 2, 1, []int64{3}, oneMoment, 1
		}),
	}
}

// Variants returns the worlds that leave out a rule. In each, Search must find the Harm.
func Variants() []World {
	return []World{
		variant("check first and count afterwards", CheckFirst, "I1", func(w *World) {}),
		variant("the carry that forgets leases", CarryForgets, "I1", func(w *World) {
			w.Times, w.Callers.Calls, w.Callers.Asks, w.Callers.Uses = twoMinutes, 2, []int64{4, 6}, []int64{4, 6}
		}),
		variant("a reclaim that returns the lease", ReclaimReturns, "I1", func(w *World) { w.Trouble.Reclaims = 1 }),
		variant("a lost answer taken for a failure", DoubtForgotten, "I2", func(w *World) { w.Trouble.Faults = 1 }),
		variant("no tombstone", NoTombstone, "I2", func(w *World) { w.Trouble.Faults, w.Trouble.Reclaims, w.Callers.Calls = 1, 1, 2 }),
		variant("returns that are spent until the answer", NoFreeze, "I1", func(w *World) {
			w.Times, w.Callers.Asks, w.Callers.Uses, w.Limits = oneMinute, []int64{4}, []int64{0}, tier(4, 0)
		}),
		variant("a reused slot id", ReusedID, "I1", func(w *World) { w.Trouble.Crashes = 1 }),
		variant("refunds of any age", RefundAnyAge, "I1", func(w *World) {
			w.Times, w.Callers.Asks, w.Callers.Uses, w.Full = []time.Duration{5 * time.Second, 125 * time.Second}, []int64{6}, []int64{0}, true
		}),
		variant("a minute that goes back", WindowBack, "I1", func(w *World) { w.Times, w.Callers.Asks, w.Callers.Uses = twoMinutes, []int64{4}, []int64{4} }),
		variant("a minute given out twice", GivenTwice, "I1", func(w *World) {
			w.Trouble.WrongTimes, w.Trouble.ClockError, w.Callers.Asks, w.Callers.Uses = 1, 16*time.Minute, []int64{4}, []int64{-1}
			w.Times = []time.Duration{5 * time.Second, 16*time.Minute + 5*time.Second}
		}),
		variant("no epoch", NoEpoch, "I2", func(w *World) { w.Trouble.Deletes = 1 }),
		variant("a call that overtakes", Overtakes, "Q3", func(w *World) {
			w.Instances, w.Callers.Asks, w.Callers.MaxWait = 1, []int64{1, 4}, time.Minute
		}),
		variant("a call that waits too long", WaitsTooLong, "Q1", func(w *World) {
			w.Instances, w.Callers.Asks, w.Callers.MaxWait = 1, []int64{4}, 62*time.Second
			w.Times = []time.Duration{5 * time.Second, 65 * time.Second, 70 * time.Second}
		}),
		variant("a caller that leaves with its tokens", LeftHolds, "I2", func(w *World) { w.Instances, w.Callers.Leave = 1, true }),
		variant("a refusal that outlasts its cause", RefusedForGood, "I7", func(w *World) { w.Instances, w.Callers.Cancel = 1, true }),
		variant("what is owed is forgotten", OwedForgotten, "I2", func(w *World) { w.Trouble.Outages, w.Callers.OnDown = 1, []limit.StoreDown{limit.FailOpen} }),
		variant("each instance takes all that is left", TakesAll, "shares", func(w *World) {
			w.Trouble.Outages, w.Callers.OnDown, w.Callers.Asks, w.Limits = 1, []limit.StoreDown{limit.Degrade}, []int64{8}, tier(8, 0)
		}),
		variant("a stop without a last write", NoLastWrite, "SIGTERM", func(w *World) { w.Instances, w.Trouble.Stops = 1, 1 }),
		variant("a refused call that keeps what it got elsewhere", RefusedHolds, "I2", func(w *World) {
			w.Instances, w.Counters, w.Callers.OnDown, w.Trouble.Outages = 1, 2, []limit.StoreDown{limit.FailClosed}, 1
		}),
		variant("a call that holds what one counter grants while it asks the next", Piecemeal, "I7", func(w *World) {
			w.Instances, w.Counters, w.Callers.Asks, w.Callers.AskElsewhere, w.Limits = 1, 2, []int64{1, 3}, 5, tier(4, 0)
		}),
		variant("an alert before the write is applied", AlertsEarly, "alerts", func(w *World) { w.Limits.Quota, w.Callers.AlertAt = 4, []int{50} }),
		variant("a standing from before the question", OldStanding, "S2", func(w *World) {
			w.Callers.Questions, w.Callers.Uses, w.Times = 1, []int64{2}, oneMinute
		}),
		variant("a deadline that counts behind a claim", DeadlineBehindClaim, "Q5", func(w *World) {
			w.Instances, w.Counters, w.Callers.Calls, w.Callers.Asks, w.Callers.MaxWait, w.Times = 1, 2, 2, []int64{4}, 4*time.Second, oneMinute
		}),
		variant("a call that doesn't learn of its claim", NotWoken, "Q4", func(w *World) { w.Instances, w.Counters, w.Callers.Calls = 1, 2, 1 }),
	}
}

// variant returns a small world that leaves out a rule.
func variant(name string, wrong Wrong, harm string, change func(*World)) World {
	return base(name, func(w *World) {
		w.Wrong, w.Harm, w.Times, w.Limits, w.Callers.Calls = wrong, harm, oneMoment, tier(4, 2), 3
		change(w)
	})
}

// newer returns limits with the next version.
func newer(limits limit.Limits) limit.Limits {
	limits.Version++
	return limits
}
