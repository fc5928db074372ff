package main

import (
	"testing"

	"tollgate/handler/manage"
)

func TestADebtIsShownAsANegativeRemainder(t *testing.T) {
	for want, at := range map[[2]string]*manage.Window{
		{"", ""}:                nil,
		{"30/300", "270"}:       {Limit: 300, Used: 30, Left: 270},
		{"300/300", "0"}:        {Limit: 300, Used: 300},
		{"1,300/300", "-1,000"}: {Limit: 300, Used: 1300, Owed: 1000},
	} {
		used, left := window(at)
		if got := [2]string{used, left}; got != want {
			t.Errorf("%+v: got %q, want %q", at, got, want)
		}
	}
}
