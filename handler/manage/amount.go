package manage

import (
	"encoding/json"

	"tollgate/handler/limit"
	"tollgate/handler/subscription"
)

// An Amount is an amount of a limit's unit. In JSON it is a whole number or, of money, a
// decimal in quotes.
type Amount struct {
	N    int64 // of money: in billionths
	Unit limit.Unit
}

// MarshalJSON implements json.Marshaler.
func (a Amount) MarshalJSON() ([]byte, error) { return subscription.FormatAmount(a.Unit, a.N), nil }

// UnmarshalJSON implements json.Unmarshaler. JSON doesn't tell the unit of a number: it
// leaves it empty.
func (a *Amount) UnmarshalJSON(text []byte) error {
	*a = Amount{}
	if len(text) == 0 || text[0] != '"' {
		return json.Unmarshal(text, &a.N)
	}
	var money limit.Money
	err := json.Unmarshal(text, &money)
	*a = Amount{N: int64(money), Unit: limit.Cost}
	return err
}

// String returns the amount as a number or a decimal.
func (a Amount) String() string {
	if a.Unit == limit.Cost {
		return limit.FormatMoney(a.N)
	}
	return string(subscription.FormatAmount(a.Unit, a.N))
}
