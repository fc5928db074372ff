package main

import (
	"testing"

	"tollgate/handler/limit"
	"tollgate/handler/manage"
)

func TestALimitIsShownAsUsedHeldAndLeftWhichIsNegativeInDebt(t *testing.T) {
	tokens := func(n int64) limit.Amount { return limit.Amount{N: n} }
	cost := func(nano int64) limit.Amount { return limit.Amount{N: nano, Unit: limit.Cost} }
	for want, at := range map[[3]string]*manage.Window{
		{"", "", ""}:                 nil,
		{"30/300", "40", "230"}:      {Limit: tokens(300), Used: tokens(30), Held: tokens(40), Left: tokens(230)},
		{"300/300", "0", "0"}:        {Limit: tokens(300), Used: tokens(300)},
		{"1,300/300", "0", "-1,000"}: {Limit: tokens(300), Used: tokens(1300), Owed: tokens(1000)},
		{"12.5/12", "0", "-0.5"}:     {Limit: cost(12e9), Used: cost(12.5e9), Held: cost(0), Left: cost(0), Owed: cost(0.5e9)},
	} {
		used, held, left := window(at)
		if got := [3]string{used, held, left}; got != want {
			t.Errorf("%+v: got %q, want %q", at, got, want)
		}
	}
}
