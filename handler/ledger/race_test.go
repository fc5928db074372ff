//go:build race

package ledger_test

// schedules is the number of random schedules: fewer under the race detector.
const schedules = 300
