// Package host holds the tests that run Tollgate as Azure does, under a
// Functions host: they start what `make build` makes with the command that
// FUNC names, and call it from outside. `make test-host` runs them.
package host
