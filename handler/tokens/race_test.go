//go:build race

package tokens_test

// racing says that the race detector runs: it makes each step some ten times
// slower, and has sync.Pool forget at random.
const racing = true
