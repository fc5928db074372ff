//go:build !race

package tokens_test

const racing = false
