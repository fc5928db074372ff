package limit_test

import (
	"encoding/json"
	"testing"

	"tollgate/handler/limit"
)

func TestAnAmountIsANumberOrADecimalOfMoneyInJSON(t *testing.T) {
	for text, amount := range map[string]limit.Amount{
		`1500`:  {N: 1500},
		`-3`:    {N: -3},
		`"1.5"`: {N: 1_500_000_000, Unit: limit.Cost},
		`"0"`:   {Unit: limit.Cost},
	} {
		written, err := json.Marshal(amount)
		if string(written) != text || err != nil {
			t.Errorf("%+v in JSON: got %s, %v; want %s", amount, written, err, text)
		}
		var read limit.Amount
		if err := json.Unmarshal([]byte(text), &read); read != amount || err != nil {
			t.Errorf("%s read: got %+v, %v; want %+v", text, read, err, amount)
		}
	}
	for _, text := range []string{`"1e3"`, `""`, `1.5`, `true`} {
		var read limit.Amount
		if err := json.Unmarshal([]byte(text), &read); err == nil {
			t.Errorf("%s read: got %+v, want an error", text, read)
		}
	}
	if got := (limit.Amount{N: 12, Unit: limit.Calls}).String(); got != "12" {
		t.Errorf("12 calls as text: got %q, want 12", got)
	}
	if got := (limit.Amount{N: 12, Unit: limit.Cost}).String(); got != "0.000000012" {
		t.Errorf("12 billionths as text: got %q, want 0.000000012", got)
	}
}
