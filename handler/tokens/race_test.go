//go:build race

package tokens_test

// racing reports whether the race detector is on. It makes tests about ten times
// slower, and makes sync.Pool drop items at random.
const racing = true
