package limit

import (
	"encoding/json"
	"strconv"
)

// An Amount is an amount of a limit's unit. In JSON it is a whole number or, of money, a
// decimal in quotes.
type Amount struct {
	N    int64 // of money: in billionths
	Unit Unit
}

// JSON returns the amount's JSON.
func (a Amount) JSON() json.RawMessage {
	if a.Unit == Cost {
		return json.RawMessage(strconv.Quote(FormatMoney(a.N)))
	}
	return strconv.AppendInt(nil, a.N, 10)
}

// MarshalJSON implements json.Marshaler.
func (a Amount) MarshalJSON() ([]byte, error) { return a.JSON(), nil }

// UnmarshalJSON implements json.Unmarshaler. JSON doesn't tell the unit of a number: it
// leaves it empty.
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
