// Package ledger records usage: how many calls and tokens each subscription used, and what
// they cost, by model and UTC minute. It limits nothing, and no call waits for it; limits are
// enforced by counters.
//
// A row holds the totals of one [Key], as counted by one process. Only that process writes
// the row. It always writes the whole row, on condition that the stored version is the one it
// knows. So rows have no conflicting writers, and sending a row twice changes nothing. If the
// answer to a write is lost, the process reads the row: the Revision shows whether the write
// was applied.
//
// Roll-up adds the rows of several processes, and later of several minutes, to one row whose
// process is [Sum]. One transaction deletes the source rows and writes the sum. The sum's
// Taken records how much of each process's row it contains. A process whose row is gone reads
// that, and writes only what the sum lacks. If a process's row appears again, roll-up adds
// only the difference, so that nothing is counted twice.
//
// A subscription's minutes and hours are in one partition, which is read for the
// subscription's own usage. Rows that are read for all subscriptions are in one partition a
// day: headline rows hold the totals of all subscriptions in a minute or hour, and days hold
// the totals of one subscription in that day. They share a partition so that one transaction
// can write both. When a day is over, it is closed: its rows are replaced by the sums of the
// subscription's minutes.
//
// Start reading at [Row] and [Store]. A [Recorder] writes rows, [Join] adds them up, a
// [Reader] reads them by time, and an [Upkeep] makes the transactions that [RollUp] plans.
package ledger
