// Package host holds the tests that run Tollgate as Azure does, under a
// Functions host: what `make build` makes is started by the command that FUNC
// names, and called from outside. `make test-host` runs them.
package host
