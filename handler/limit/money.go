package limit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Nano is the number of billionths in one unit of the currency. Money is counted in
// billionths.
const Nano = 1_000_000_000

// nanoDigits is the most digits that an amount of money has after the point.
const nanoDigits = 9

var errMoney = errors.New("is not a decimal number with at most 9 digits after the point")

// ParseMoney reads a decimal number of 0 or more, such as 12.5, as billionths. It takes
// digits and one point between them only: no sign, no exponent, no spaces.
func ParseMoney(text string) (nano int64, err error) {
	whole, fraction, point := strings.Cut(text, ".")
	if !digits(whole) || point && !digits(fraction) || len(whole) > 1 && whole[0] == '0' {
		return 0, errMoney
	}
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > nanoDigits {
		return 0, errMoney
	}
	nano, err = strconv.ParseInt(whole+fraction+strings.Repeat("0", nanoDigits-len(fraction)), 10, 64)
	if err != nil {
		return 0, errMoney
	}
	return nano, nil
}

// digits reports whether a text is one or more digits, and nothing else.
func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// FormatMoney writes billionths as a decimal number, such as 12.5, without trailing
// zeros.
func FormatMoney(nano int64) string {
	if nano < 0 {
		return "-" + FormatMoney(-nano)
	}
	text := fmt.Sprintf("%d.%09d", nano/Nano, nano%Nano)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// Money is an amount of money in billionths. In text it is a decimal number, and in JSON
// a decimal number in quotes.
type Money int64

// String returns the amount as a decimal.
func (m Money) String() string { return FormatMoney(int64(m)) }

// MarshalText implements encoding.TextMarshaler.
func (m Money) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It takes what ParseMoney takes, with
// or without a minus sign before it.
func (m *Money) UnmarshalText(text []byte) error {
	decimal, negative := strings.CutPrefix(string(text), "-")
	nano, err := ParseMoney(decimal)
	if negative {
		nano = -nano
	}
	*m = Money(nano)
	return err
}
