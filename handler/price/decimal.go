package price

import (
	"errors"

	"tollgate/handler/limit"
)

// A Decimal is a number of 0 or more in decimal digits, such as "2.5". Prices and
// multipliers are written this way, so that no digit is lost. The empty Decimal means that
// no number is given; it is not 0.
type Decimal string

// maxDecimal is the largest Decimal, 1,000,000,000, in billionths. It is more than a million
// tokens cost in any currency, and small enough for sums of products to fit into 128 bits.
const maxDecimal = 1_000_000_000 * limit.Nano

var errDecimal = errors.New("is not a decimal number of 0 to 1000000000 with at most 9 digits after the point")

// Nano returns the number in billionths. It accepts what limit.ParseMoney does, up to
// 1,000,000,000.
func (d Decimal) Nano() (int64, error) {
	n, err := limit.ParseMoney(string(d))
	if err != nil || n > maxDecimal {
		return 0, errDecimal
	}
	return n, nil
}

// Format returns an amount in billionths as a Decimal without trailing zeros.
func Format(nano int64) Decimal { return Decimal(limit.FormatMoney(nano)) }
