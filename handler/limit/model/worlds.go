package model

import (
	"slices"
	"time"

	"tollgate/handler/limit"
)

var midnight = time.Date(2026, 2, 28, 12, 0, 0, 0, time.UTC)

// tier returns a tier whose quota never runs out: it serves as an account in
// which no token may be lost or made.
func tier(perMinute, burst int64) limit.Limits {
	return limit.Limits{TokensPerMinute: perMinute, Burst: burst, Quota: 1000, Period: limit.Yearly, Version: 1}
}

// base returns the world that others vary: two instances, three minutes.
func base(name string, change func(*World)) World {
	w := World{Name: name, Instances: 2, Start: midnight, Minutes: 3, Skew: 1, Limits: tier(2, 2), Calls: 2, Asks: []int64{2},
		Writes: []Write{{}, {Lease: 4}}, Builds: 2}
	change(&w)
	return w
}

// Worlds returns the worlds in which every rule must hold. Each is searched
// exhaustively.
func Worlds() []World {
	return slices.Concat(clockWorlds(), troubleWorlds(), limitWorlds(), storeWorlds())
}

// clockWorlds vary minutes and clocks.
func clockWorlds() []World {
	return []World{
		base("three minutes", func(w *World) {}),
		base("clocks two minutes apart", func(w *World) { w.Skew, w.Calls = 2, 1 }),
		base("excess becomes debt", func(w *World) { w.Excess, w.Asks, w.Calls = 2, []int64{1}, 1 }),
		base("a raise is taken back", func(w *World) { w.Raise, w.Asks, w.Calls = 3, []int64{1}, 1 }),
		base("a raise over the end of a lease", func(w *World) { w.Raise, w.Asks, w.Calls, w.Builds, w.Minutes = 1, []int64{1}, 1, 3, 2 }),
		base("a raise that was charged long ago", func(w *World) {
			w.Instances, w.Raise, w.Asks, w.Builds, w.Calls = 1, 3, []int64{1}, 4, 1
			w.Writes = []Write{{Lease: 1}, {Lease: 8}}
		}),
		base("a lease comes back late", func(w *World) {
			w.Full, w.Skew, w.Asks, w.Writes = true, 2, []int64{4}, []Write{{}, {Lease: 2}, {Lease: 4}}
		}),
		base("an instance is told a wrong minute", func(w *World) { w.Misled, w.Astray, w.Minutes, w.Skew = 1, 2, 2, 0 }),
		base("an instance is told one that is over", func(w *World) { w.Misled, w.Astray, w.Skew, w.Calls = 1, -2, 0, 1 }),
		base("an instance is told one far ahead", func(w *World) { w.Misled, w.Astray, w.Minutes, w.Skew = 1, 16, 2, 0 }),
		base("a far minute comes", func(w *World) {
			w.Tick, w.Misled, w.Astray, w.Minutes, w.Calls, w.Builds, w.Instances = 8*time.Minute, 1, 2, 25, 2, 4, 1
			w.Asks, w.Writes = []int64{4}, []Write{{Lease: 4}}
		}),
		base("leases expire", func(w *World) { w.Tick, w.Expiry, w.Minutes, w.Calls = 30*time.Second, 20*time.Second, 2, 1 }),
	}
}

// troubleWorlds vary lost answers, crashes and stops.
func troubleWorlds() []World {
	return []World{
		base("lost and late answers", func(w *World) { w.Late, w.Minutes = 1, 1 }),
		base("a doubt while minutes turn", func(w *World) { w.Late, w.Minutes, w.Calls = 1, 2, 1 }),
		base("a raise in doubt", func(w *World) { w.Raise, w.Late, w.Minutes, w.Asks, w.Calls = 2, 1, 2, []int64{1}, 1 }),
		base("a raise, slowly answered", func(w *World) { w.Raise, w.Answers, w.Crashes, w.Minutes, w.Asks, w.Calls = 2, 1, 1, 2, []int64{1}, 1 }),
		base("one doubt after another", func(w *World) { w.Instances, w.Late, w.Builds, w.Minutes = 1, 3, 3, 2 }),
		base("slow answers", func(w *World) { w.Answers, w.Minutes, w.Calls = 2, 2, 1 }),
		base("reclaim at any time", func(w *World) { w.Reclaims, w.Minutes = 1, 2 }),
		base("reclaim before the answer", func(w *World) { w.Reclaims, w.Answers, w.Minutes, w.Calls = 1, 1, 2, 1 }),
		base("two doubts and a reclaim", func(w *World) { w.Late, w.Reclaims, w.Minutes, w.Calls = 2, 1, 1, 1 }),
		base("a tombstone is over", func(w *World) { w.Late, w.Reclaims, w.Purges, w.Minutes, w.Calls = 1, 1, 1, 1, 1 }),
		base("crash and start anew", func(w *World) { w.Crashes, w.Reclaims, w.Minutes, w.Calls = 1, 1, 2, 1 }),
		base("crash with a write on its way", func(w *World) { w.Crashes, w.Late, w.Reclaims, w.Minutes, w.Calls = 1, 1, 1, 1, 1 }),
		base("an instance stops", func(w *World) { w.Leaves, w.Minutes = true, 2 }),
	}
}

// limitWorlds vary quotas, changed tiers and decisions.
func limitWorlds() []World {
	return []World{
		base("a quota alone", func(w *World) { w.Limits = limit.Limits{Quota: 3, Period: limit.Yearly, Version: 1} }),
		base("a quota beside a limit", func(w *World) { w.Limits.Quota, w.Minutes = 3, 2 }),
		base("a quota's period turns", func(w *World) {
			w.Limits.Quota, w.Limits.Period, w.Minutes = 3, limit.Hourly, 2
			w.Start = w.Start.Add(59 * time.Minute)
		}),
		base("a raised tier", func(w *World) { w.Newer, w.Minutes, w.Calls = []limit.Limits{newer(tier(3, 2))}, 2, 1 }),
		base("a cut tier", func(w *World) {
			w.Limits, w.Newer, w.Minutes, w.Calls = tier(3, 1), []limit.Limits{newer(tier(1, 1))}, 2, 1
		}),
		base("calls are decided", func(w *World) {
			w.Asks, w.Minutes, w.Cancel = []int64{1, 2}, 1, true
			w.Writes = []Write{{}, {Ask: 1}, {Ask: 2}, {Ask: 1, Lease: 2}}
		}),
		base("calls without the counter", func(w *World) { w.Owed, w.Shadow, w.Excess, w.Raise, w.Minutes, w.Builds = true, true, 1, 2, 1, 1 }),
		base("three instances", func(w *World) { w.Instances, w.Minutes, w.Limits = 3, 1, tier(4, 2) }),
	}
}

// storeWorlds vary what is stored.
func storeWorlds() []World {
	return []World{
		base("the counter isn't there yet", func(w *World) { w.Absent, w.Late, w.Minutes, w.Calls = true, 1, 2, 1 }),
		base("the counter is deleted", func(w *World) { w.Deletes, w.Late, w.Minutes, w.Calls = 1, 1, 1, 1 }),
		base("the counter is made and deleted", func(w *World) { w.Absent, w.Deletes, w.Late, w.Minutes, w.Calls = true, 1, 1, 1, 1 }),
		base("writes upon what was known", func(w *World) { w.Stale, w.Minutes, w.Calls = true, 2, 1 }),
		base("rows that are written late", func(w *World) { w.Instances, w.Builds, w.LateRows = 1, 4, true }),
	}
}

// Variants returns the worlds that leave a rule out. In each the search must
// find the harm: tokens beyond the limit, a settlement charged twice, or more
// refunded than was charged.
func Variants() []World {
	return []World{
		variant("check first and count afterwards", CheckFirst, "I1", func(w *World) {}),
		variant("the carry that forgets leases", CarryForgets, "I1", func(w *World) { w.Minutes, w.Asks = 2, []int64{2, 4} }),
		variant("reclaim that returns tokens", ReclaimReturns, "I1", func(w *World) { w.Reclaims = 1 }),
		variant("a doubt forgotten", DoubtForgotten, "I4", func(w *World) { w.Late = 1 }),
		variant("no tombstone", NoTombstone, "I4", func(w *World) { w.Late, w.Reclaims = 1, 1 }),
		variant("no freeze", NoFreeze, "I1", func(w *World) { w.Late = 1 }),
		variant("a reused slot id", ReusedID, "I1", func(w *World) { w.Crashes = 1 }),
		variant("refunds of any age", RefundAnyAge, "I1", func(w *World) { w.Minutes, w.Skew, w.Asks, w.Writes = 3, 2, []int64{6}, []Write{{Lease: 6}} }),
		variant("a minute that goes back", WindowBack, "I1", func(w *World) { w.Minutes = 2 }),
		variant("a minute given out twice", GivenTwice, "I1", func(w *World) {
			w.Tick, w.Misled, w.Astray, w.Minutes, w.Builds, w.Instances = 8*time.Minute, 1, 2, 25, 4, 1
			w.Asks, w.Writes = []int64{4}, []Write{{Lease: 4}}
		}),
		variant("no epoch", NoEpoch, "I2", func(w *World) { w.Deletes = 1 }),
	}
}

func variant(name string, wrong Wrong, harm string, change func(*World)) World {
	return base(name, func(w *World) {
		w.Wrong, w.Harm, w.Minutes, w.Builds, w.Asks = wrong, harm, 1, 3, []int64{2}
		change(w)
	})
}

func newer(limits limit.Limits) limit.Limits {
	limits.Version++
	return limits
}
