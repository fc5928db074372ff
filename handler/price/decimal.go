package price

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Decimal is a number of 0 or more in decimal digits, such as "2.5", as operators
// write prices and multipliers. Empty, it is none, which is not 0.
type Decimal string

// Nano is how many billionths 1 has. Money is counted in billionths of the currency's
// unit, and multipliers in billionths.
const Nano = 1_000_000_000

// nanoDigits is how many digits of a Decimal follow the point at most.
const nanoDigits = 9

// maxDecimal is the largest Decimal, in billionths: 1,000,000,000. As a price it is more
// than any currency needs for a million tokens, and leaves room for the arithmetic.
const maxDecimal = 1_000_000_000 * Nano

var errDecimal = errors.New("is not a decimal number of 0 to 1000000000 with at most 9 digits after the point")

// Nano returns the number in billionths. It takes digits and one point between them only:
// no sign, no exponent, no spaces.
func (d Decimal) Nano() (int64, error) {
	whole, fraction, point := strings.Cut(string(d), ".")
	if !digits(whole) || point && !digits(fraction) || len(whole) > 1 && whole[0] == '0' {
		return 0, errDecimal
	}
	fraction = strings.TrimRight(fraction, "0")
	if len(whole) > 10 || len(fraction) > nanoDigits {
		return 0, errDecimal
	}
	n, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", nanoDigits-len(fraction)), 10, 64)
	if err != nil || n > maxDecimal {
		return 0, errDecimal
	}
	return n, nil
}

// digits reports whether a text is digits only, and at least one.
func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// Format returns an amount in billionths, which must not be negative, as a Decimal
// without zeros at the end.
func Format(nano int64) Decimal {
	text := fmt.Sprintf("%d.%09d", nano/Nano, nano%Nano)
	return Decimal(strings.TrimSuffix(strings.TrimRight(text, "0"), "."))
}
