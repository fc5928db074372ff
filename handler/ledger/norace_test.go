//go:build !race

package ledger_test

// schedules is the number of random schedules.
const schedules = 10_000
