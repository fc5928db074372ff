package price_test

import (
	"math/big"
	"strings"
	"testing"

	"tollgate/handler/limit"
	"tollgate/handler/price"
)

func TestADecimalIsReadExactlyInBillionths(t *testing.T) {
	for text, want := range map[price.Decimal]int64{
		"0": 0, "0.0": 0, "1": limit.Nano, "2.50": 2_500_000_000, "0.000000001": 1, "1.0000000000": limit.Nano,
		"1000000000": 1_000_000_000 * limit.Nano, "0.145": 145_000_000,
	} {
		if got, err := text.Nano(); got != want || err != nil {
			t.Errorf("%q: got %d and error %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []price.Decimal{"", ".", "1.", ".5", "-1", "+1", "1e3", " 1", "1 ", "1,5", "01", "0x1", "1.0000000001", "1000000000.000000001",
		"99999999999", "1.2.3", "٣", "NaN", price.Decimal(strings.Repeat("9", 400))} {
		if got, err := text.Nano(); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
}

func FuzzDecimal(f *testing.F) {
	for _, seed := range []string{"0", "2.5", "0.000000001", "1000000000", "1.", ".1", "-1", "1e9", "00", "1.0000000000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := price.Decimal(text).Nano()
		if err != nil {
			return
		}
		exact, ok := new(big.Rat).SetString(text)
		if !ok || exact.Mul(exact, big.NewRat(limit.Nano, 1)).Cmp(new(big.Rat).SetInt64(got)) != 0 {
			t.Fatalf("%q: got %d billionths, want %v", text, got, exact)
		}
		if again, err := price.Format(got).Nano(); again != got || err != nil {
			t.Fatalf("%q: got %d and error %v after formatting as %s, want %d", text, again, err, price.Format(got), got)
		}
	})
}
