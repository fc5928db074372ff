package price

import (
	"errors"

	"tollgate/handler/limit"
)

// A Decimal is a number of 0 or more in decimal digits, such as "2.5", as operators
// write prices and multipliers. Empty, it is none, which is not 0.
type Decimal string

// maxDecimal is the largest Decimal, in billionths: 1,000,000,000. As a price it is more
// than any currency needs for a million tokens, and leaves room for the arithmetic.
const maxDecimal = 1_000_000_000 * limit.Nano

var errDecimal = errors.New("is not a decimal number of 0 to 1000000000 with at most 9 digits after the point")

// Nano returns the number in billionths; see limit.ParseMoney.
func (d Decimal) Nano() (int64, error) {
	n, err := limit.ParseMoney(string(d))
	if err != nil || n > maxDecimal {
		return 0, errDecimal
	}
	return n, nil
}

// Format returns an amount in billionths as a Decimal without zeros at the end.
func Format(nano int64) Decimal { return Decimal(limit.FormatMoney(nano)) }
