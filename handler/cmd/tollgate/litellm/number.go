package litellm

import (
	"encoding/json"
	"errors"
	"math/big"
	"strconv"
	"strings"

	"tollgate/handler/price"
)

// Limits of a number's text, so that one in a hostile file can't take long to read. A
// price has fewer than 20 digits.
const (
	maxDigits   = 64
	maxExponent = 64
)

var errNumber = errors.New("is not a price for one token: repair the file")

// perMillion returns the price of a million tokens in billionths, from a JSON number that
// is the price of one, times exchange. It computes exactly and rounds up; exact reports
// whether it didn't have to.
func perMillion(number string, exchange price.Decimal) (nano int64, exact bool, err error) {
	value, err := parse(number)
	if err != nil {
		return 0, false, err
	}
	by, err := exchange.Nano()
	if err != nil {
		return 0, false, err
	}
	value.Mul(value, big.NewRat(by, 1)) // billionths, for one token
	value.Mul(value, big.NewRat(1_000_000, 1))
	whole, rest := new(big.Int).QuoRem(value.Num(), value.Denom(), new(big.Int))
	if exact = rest.Sign() == 0; !exact {
		whole.Add(whole, big.NewInt(1))
	}
	if !whole.IsInt64() {
		return 0, false, errNumber
	}
	if _, err := price.Format(whole.Int64()).Nano(); err != nil { // larger than a price may be
		return 0, false, errNumber
	}
	return whole.Int64(), exact, nil
}

// parse returns a JSON number that isn't negative, exactly.
func parse(text string) (*big.Rat, error) {
	var number json.Number
	if len(text) > maxDigits || strings.HasPrefix(text, "-") || strings.HasPrefix(text, `"`) || json.Unmarshal([]byte(text), &number) != nil {
		return nil, errNumber
	}
	digits, power, scientific := strings.Cut(strings.ToLower(text), "e")
	exponent := 0
	if scientific {
		var err error
		if exponent, err = strconv.Atoi(power); err != nil || exponent > maxExponent || exponent < -maxExponent {
			return nil, errNumber
		}
	}
	value, ok := new(big.Rat).SetString(digits)
	if !ok {
		return nil, errNumber
	}
	scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exponent, -exponent))), nil))
	if exponent < 0 {
		return value.Quo(value, scale), nil
	}
	return value.Mul(value, scale), nil
}
