package limit

import (
	"encoding/json"
	"strconv"
)

// An Amount is an amount of a limit's unit. In JSON it is a whole number or, if it is
// money, a decimal in quotes.
type Amount struct {
	N    int64 // billionths, if Unit is Cost
	Unit Unit
}

// JSON returns the amount in JSON.
func (a Amount) JSON() json.RawMessage {
	if a.Unit == Cost {
		return json.RawMessage(strconv.Quote(FormatMoney(a.N)))
	}
	return strconv.AppendInt(nil, a.N, 10)
}

// MarshalJSON implements json.Marshaler.
func (a Amount) MarshalJSON() ([]byte, error) { return a.JSON(), nil }

// UnmarshalJSON implements json.Unmarshaler. It leaves Unit empty for a number, as JSON
// doesn't have the unit.
func (a *Amount) UnmarshalJSON(text []byte) error {
	*a = Amount{}
	if len(text) == 0 || text[0] != '"' {
		return json.Unmarshal(text, &a.N)
	}
	var money Money
	err := json.Unmarshal(text, &money)
	*a = Amount{N: int64(money), Unit: Cost}
	return err
}

// String returns the amount as a number or a decimal.
func (a Amount) String() string {
	if a.Unit == Cost {
		return FormatMoney(a.N)
	}
	return strconv.FormatInt(a.N, 10)
}
