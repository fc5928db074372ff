// Package lease decides calls against a counter that many instances share. It is
// a pure state machine: no locks, goroutines, timers, I/O, randomness or clock.
// Package counter runs it against a store.
//
// # The problem
//
// A counter is one row of a table. A write replaces the row only if nobody else
// has written it since it was read. Reading and writing the row for every call is
// exact but far too slow: above some 40 writes a second most of them conflict.
// Letting each instance count on its own is fast but not exact: ten instances
// spend ten limits.
//
// # The lease
//
// So an instance takes a lease: an amount that it prepays, for many calls. The
// row counts all of it as spent. The instance hands it out to calls by itself, and
// reports what they used with its next write. What is left for everybody is
// credit - spent - leased. That never includes what an instance holds, so an
// instance that dies loses its lease and nothing else.
//
// # An example
//
// A limit is 1,000 a minute. Instance A takes a lease of 300 and admits a call of
// 100; instance B takes a lease of 450. Then 250 are left, and A has 200 of its
// lease. A's call ends having used 60, so 40 go back to A's lease, and A admits
// another call of 150 without asking anybody. Its next write reports 60 + 150 as
// spent and tops its lease up to 200. The write arrives, but its answer is lost. A
// goes on with the 90 that it certainly has, and reads the row. A's slot has the
// write's number, so the write was applied, and A has its 200. If the number were
// missing and the row had another version, the write could never be applied any
// more, and A would report everything again. If the version were unchanged, the
// write might still arrive, and A would send the same bytes again: one copy is
// applied, and the other fails. docs/counters.md continues the example with a
// crash and the next minute, and a test runs it.
//
// # The rules, and the harm without each
//
//   - A holder has at most one write whose outcome it doesn't know, and gives up
//     what that write returns when it builds the write (Holder.Commit). Otherwise a
//     late write would give others what the holder goes on spending.
//   - Each write carries its slot's next number, and after an error the holder reads
//     the row before it builds another write (Holder.Resolve). Otherwise a report
//     would count twice, or never.
//   - A lease counts as spent until its holder reports, and a new minute's credit
//     excludes it (limit.Balance.OpenMinute). Otherwise two minutes would give out
//     the same amount.
//   - A dead instance's lease stays spent, and its slot becomes a tombstone
//     (Row.Reclaim). Otherwise an instance that was only paused would spend what
//     others got, or a late write would count twice.
//   - An amount that comes back one minute late is added to the running minute, up to
//     the burst; an older one vanishes (limit.Balance.RefundMinute). Otherwise k
//     minutes could exceed k limits.
//   - Windows never go back, and a repaired row gives out no minute again
//     (Row.Repaired). Otherwise a wrong clock would give out a limit twice.
//   - A new row has a new epoch, and reports for an old one are void. Otherwise
//     refunds could make its charges negative.
//   - Calls queue in order, each for at most its time, and none while it fits
//     (queue). Otherwise small calls would starve large ones, or callers would wait
//     for nothing.
//   - What must be reported is reported even if no other call comes
//     (Holder.mustReport). Otherwise a charge that was taken back would stay.
//   - A refusal is remembered until something can have changed (refusal). Without
//     the memory, a flood of refused calls would flood the table; if it lasted
//     longer, a call would be refused an amount that has come back.
//   - While the store is down, each instance admits its own share of what it last
//     knew to be left, and owes it (share). All of them together admit no more than
//     was left if each knew the row as it was. Otherwise ten instances would admit
//     ten limits, or nobody would pay for them.
//   - An instance that stops writes a last time (Agent.Close). Otherwise calls that
//     it settled would never be charged.
//   - A call that needs several counters claims what each has, takes all of it at one
//     moment or none, and gives way to calls that came first (JointCall). Otherwise a
//     refused call would stay charged, another would be refused because of it, or two
//     calls would wait for each other.
//   - A call that fits but for another call's claim has no deadline until that claim ends
//     (call.hasDeadline), which it does with its lease at the latest (planner.decideAgainAt).
//     Otherwise the agent would decide the call again and again at the same moment.
//
// Package model leaves out these rules one at a time, and finds the harm.
//
// # The theorem
//
// Suppose that each call uses no more than it reserved, nobody edits the row, the
// limit isn't cut meanwhile, and no call was decided without the store or in shadow.
// Then, whatever is killed, paused, lost, late or duplicated, and however wrong the
// clocks are: the charges of a minute, less refunds, are at most its credit, which is
// at most the minute's amount plus the burst; the charges of k minutes are at most k
// minutes' amounts plus the burst; the charges of a period are at most the quota; and
// a call is charged at most once, and exactly once unless its instance dies first.
//
// Not promised: that all of a limit can be used (a killed instance loses what it had
// leased), a sliding window, an order between instances, or exactness while the store
// is down.
//
// # The code
//
// Start with Agent. Events go in, and Agent.Next says what to do with the store: read
// the row, send a write, or rest. An Agent is built from five layers, each of which
// embeds the one before:
//
//   - localState holds this instance's lease and what it knows of the row
//   - decider decides calls, and changes nothing
//   - admitter carries decisions out: it grants, queues and answers calls
//   - settler changes and ends what calls hold
//   - planner decides what to do with the store, and does none of it
//
// A call goes from Reserve (admitter.go) to the lease or the queue, from the queue
// through Next (agent.go) into a write, and with Written or Loaded to its Answer;
// Settle (settler.go) ends it. Row is the stored counter and Holder one instance's
// side of it: its lease, and what it has yet to report. A JointCall needs the agents of
// several counters. The other files have one job each: queue, refusals (known.go),
// lease sizes, reports, the share without the store, the store's health.
package lease
