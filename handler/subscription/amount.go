package subscription

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"tollgate/handler/limit"
)

// nanoDigits is the number of decimals of an amount of money.
const nanoDigits = 9

// ParseMoney reads a decimal, such as 12.50, as billionths.
func ParseMoney(text string) (int64, error) {
	whole, decimals, _ := strings.Cut(text, ".")
	if whole == "" || len(decimals) > nanoDigits || strings.HasSuffix(text, ".") || strings.ContainsAny(text, "+-_") {
		return 0, errNotMoney
	}
	n, err := strconv.ParseInt(whole+decimals+strings.Repeat("0", nanoDigits-len(decimals)), 10, 64)
	if err != nil {
		return 0, errNotMoney
	}
	return n, nil
}

var errNotMoney = errors.New("is not an amount of money")

// FormatMoney writes billionths as a decimal, such as 12.5.
func FormatMoney(nano int64) string {
	sign := ""
	if nano < 0 {
		sign, nano = "-", -nano
	}
	digits := strconv.FormatInt(nano, 10)
	digits = strings.Repeat("0", max(0, nanoDigits+1-len(digits))) + digits
	whole, decimals := digits[:len(digits)-nanoDigits], strings.TrimRight(digits[len(digits)-nanoDigits:], "0")
	if decimals == "" {
		return sign + whole
	}
	return sign + whole + "." + decimals
}

// FormatAmount returns the JSON of an amount of a unit: a decimal in quotes for money,
// else a number.
func FormatAmount(unit limit.Unit, amount int64) json.RawMessage {
	if unit == limit.Cost {
		return json.RawMessage(strconv.Quote(FormatMoney(amount)))
	}
	return strconv.AppendInt(nil, amount, 10)
}

// formatAmount returns the JSON of an amount, nil for 0.
func formatAmount(unit limit.Unit, amount int64) json.RawMessage {
	if amount == 0 {
		return nil
	}
	return FormatAmount(unit, amount)
}

// parseAmount reads the JSON of an amount of a unit. The error is a predicate of the
// amount.
func parseAmount(unit limit.Unit, text json.RawMessage) (n int64, err error) {
	if string(text) == "null" {
		return 0, nil
	}
	if unit != limit.Cost {
		if json.Unmarshal(text, &n) != nil {
			return 0, errors.New("is not a whole number")
		}
		return n, nil
	}
	var decimal string
	if json.Unmarshal(text, &decimal) != nil {
		return 0, errors.New("is not a decimal in quotes")
	}
	return ParseMoney(decimal)
}

// amountFix says how to write an amount of a unit.
func amountFix(unit limit.Unit) string {
	if unit == limit.Cost {
		return `use a decimal in quotes with at most 9 decimals, such as "12.50"`
	}
	return "use a whole number, such as 1000"
}
