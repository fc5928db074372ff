package main

import (
	"testing"

	"tollgate/handler/manage"
)

func TestALimitIsShownAsUsedHeldAndLeftWhichIsNegativeInDebt(t *testing.T) {
	for want, at := range map[[3]string]*manage.Window{
		{"", "", ""}:                 nil,
		{"30/300", "40", "230"}:      {Limit: 300, Used: 30, Held: 40, Left: 230},
		{"300/300", "0", "0"}:        {Limit: 300, Used: 300},
		{"1,300/300", "0", "-1,000"}: {Limit: 300, Used: 1300, Owed: 1000},
	} {
		used, held, left := window(at)
		if got := [3]string{used, held, left}; got != want {
			t.Errorf("%+v: got %q, want %q", at, got, want)
		}
	}
}
