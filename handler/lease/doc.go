// Package lease is one instance's part in a counter that all instances share,
// as a pure state machine: no lock, goroutine, timer, I/O, randomness or clock.
//
// # The problem
//
// A counter is one row in a table, and a write replaces it only if nobody else
// has written since. Reading and writing it for each call is exact and far too
// slow: beyond some 40 writes a second most of them conflict. Letting each
// instance count by itself is fast and not exact: ten instances spend ten
// limits.
//
// # The lease
//
// An instance takes a lease: an amount that it prepays, for many calls. The row
// counts all of them as spent. The instance hands them out by itself and
// reports what became of them with its next write. What is left for everybody
// is credit - spent - leased, so it never includes what is in somebody's
// hands, and an instance that dies takes its lease with it and no more.
//
// # An example
//
// A limit has 1,000 a minute. Instance A takes a lease of 300 and admits
// a call of 100; B takes 450. 250 are left, 200 are in A's hands. A's call ends
// having used 60: 40 go back to its lease, and A admits another of 150 without
// asking anybody. A's next write reports 60 + 150 as spent and tops its lease
// up to 200; it arrives, and its answer is lost. A goes on with the 90
// that it surely has, and reads the row. Its slot has the write's number: so the
// write counted, and A has its 200. Were the number not there and the row's
// version another, the write could never arrive any more, and A would report
// everything again. With the same version it might still arrive, and A would
// send the same bytes once more: one of the two counts, and the other fails.
// docs/counters.md has the example in full, with a crash and the next minute,
// and a test runs it.
//
// # The rules, and the harm without each
//
//   - A holder has one write whose outcome it doesn't know; what that returns
//     leaves its hands when the write is built (Holder.Commit). Else a late write
//     has given to others what it spends.
//   - Each write has its slot's next number, and after an error the row is read
//     before anything else is built (Holder.Resolve). Else a report counts twice,
//     or never.
//   - A lease counts as spent until its holder reports, and a new minute's credit
//     excludes it (limit.Balance.OpenMinute). Else the same amount is had from
//     two minutes.
//   - A dead instance's lease stays spent, and its slot a tombstone
//     (Row.Reclaim). Else one that was only paused spends what others got, or a
//     late write counts twice.
//   - What comes back a minute late is added to the running minute, capped; older
//     amounts vanish (limit.Balance.RefundMinute). Else k minutes exceed k limits.
//   - Windows never go back, and a repaired row gives no minute out again
//     (Row.Repaired). Else a wrong clock gives a limit twice.
//   - A new row has a new epoch, and owes nothing of an old one's. Else refunds
//     make charges negative.
//   - Calls queue in order, none longer than it may, and none while it
//     fits (queue). Else small calls starve large ones, or callers wait in vain.
//   - What is to be reported is, even if no other call comes (Holder.MustReport).
//     Else a charge that was taken back stays.
//   - A refusal is remembered until something can have changed (refusal). Else a
//     flood of refused calls floods the table; and if it held on, a call would be
//     refused what has come back.
//   - While the store is down, each instance admits its own share of what it last
//     knew to be left, and owes it (share): all of them no more than was left, if they
//     knew the row as it was. Else ten instances admit ten limits, or nobody pays for them.
//   - An instance that stops writes a last time (Agent.Close). Else its settled
//     calls are never charged.
//   - A call that needs several counters claims what each has, takes all at one
//     moment or nothing, and gives way to those that came before it (Joint). Else
//     a refused call stays charged, another is refused because of it, or two calls
//     wait for each other.
//
// Package model leaves out these rules one at a time, and finds the harm.
//
// # The theorem
//
// If each call uses no more than it reserved, nobody edits the row, the limit
// isn't cut meanwhile, and no call was decided without the store or in shadow,
// then whatever is killed, paused, lost, late, doubled or off in time: the
// charges of a minute, less refunds, are at most its credit, which is at most
// the minute's amount plus the burst; those of k minutes at most k minutes'
// amounts plus the burst; those of a period at most the quota; and a call is
// charged at most once, and exactly once unless its instance dies first.
//
// Not promised: that all of a limit can be used (a kill costs what was leased), a
// sliding window, an order between instances, or exactness while the store is
// down.
//
// # The parts
//
// Start with Agent: events go in, and Agent.Next says what to do with the
// store. It is made of account (what the instance holds and knows), judge (which
// decides calls, and changes nothing), desk (which does what follows from that),
// till (which changes and ends what calls hold) and planner (which decides what to
// do with the store, and does none of it). What is decided is a value: a prospect
// of one call, a ruling on all that wait for a write, a change of a hold, a choice
// of what to do next. Joint is a call that needs the agents of several counters.
// Row is what is stored, Holder the lease in hand and what is yet to be reported;
// sizing, queue, refusal, share, schedule and trouble have one job each.
package lease
