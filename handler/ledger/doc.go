// Package ledger records what happened: how many calls and tokens each subscription used,
// and what they cost, by model and UTC minute. It limits nothing, and no call waits for it; what is limited
// is in counters.
//
// A row holds the totals of one [Key], as one process counted them. That process alone
// writes the row, always whole and under the row's own version, so there is nothing to
// contend for, and sending a row twice changes nothing. Its Revision tells which of two
// writes a stored row is, after an answer was lost.
//
// Roll-up sums the rows of several processes, and later of several minutes, in the row of
// the process [Sum]. One transaction deletes the rows that it takes and writes the sum,
// which notes in Taken what it took of each process's row. A process whose row is gone
// reads that note, and counts only what the sum doesn't have. A row that comes late is
// taken by the difference, so that nothing counts twice.
//
// Rows of a subscription's minutes and hours stand together in one partition, for that
// subscription's own pages. What is read across subscriptions stands in one partition a
// day: headline rows, which are the totals of all subscriptions by minute or hour, and
// days, which are the totals of one subscription's day. Both are there, so that one
// transaction writes both. Once a day is over, the sums of the subscription's minutes
// replace its rows.
//
// Start reading at [Row] and [Store]; then [Recorder] writes rows, [Join] tells what they
// say, [Reader] reads them by time, and [Upkeep] rolls them up, by the plan of [RollUp].
package ledger
