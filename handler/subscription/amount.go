package subscription

import (
	"encoding/json"
	"errors"

	"tollgate/handler/limit"
)

// formatAmount returns the JSON of an amount, nil for 0.
func formatAmount(unit limit.Unit, amount int64) json.RawMessage {
	if amount == 0 {
		return nil
	}
	return limit.Amount{N: amount, Unit: unit}.JSON()
}

// parseAmount reads the JSON of an amount of a unit. The error's text is a predicate, to be
// put after the field's name.
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
	return limit.ParseMoney(decimal)
}

// amountFix returns the advice for writing an amount of a unit.
func amountFix(unit limit.Unit) string {
	if unit == limit.Cost {
		return `use a decimal in quotes with at most 9 decimals, such as "12.50"`
	}
	return "use a whole number, such as 1000"
}
