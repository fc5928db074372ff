//go:build !race

package chat

// racing reports whether the race detector runs, which makes each step some ten
// times slower.
const racing = false
