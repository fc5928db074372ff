package limit_test

import (
	"encoding/json"
	"testing"

	"tollgate/handler/limit"
)

func TestMoneyIsReadAndWrittenExactly(t *testing.T) {
	for text, nano := range map[string]int64{"0": 0, "12.5": 12_500_000_000, "0.000000001": 1, "100000000": 1e17, "1.234567891": 1_234_567_891} {
		if got, err := limit.ParseMoney(text); got != nano || err != nil {
			t.Errorf("ParseMoney(%q): got %d, %v; want %d", text, got, err, nano)
		}
		if got := limit.FormatMoney(nano); got != text {
			t.Errorf("FormatMoney(%d): got %q, want %q", nano, got, text)
		}
	}
	for text, nano := range map[string]int64{"12.50": 12_500_000_000, "1.0000000000": limit.Nano} {
		if got, err := limit.ParseMoney(text); got != nano || err != nil {
			t.Errorf("ParseMoney(%q): got %d, %v; want %d", text, got, err, nano)
		}
	}
	for _, text := range []string{"", ".", "1.", ".5", "-1", "+1", "1e3", "01", "1_0", " 1", "1,5", "0.0000000001", "9999999999999"} {
		if got, err := limit.ParseMoney(text); err == nil {
			t.Errorf("ParseMoney(%q): got %d, want an error", text, got)
		}
	}
	if got := limit.FormatMoney(-1_500_000_000); got != "-1.5" {
		t.Errorf("FormatMoney below zero: got %q, want -1.5", got)
	}
}

func TestMoneyIsADecimalInJSON(t *testing.T) {
	type answer struct {
		Cost limit.Money `json:"cost"`
	}
	for nano, text := range map[int64]string{0: `{"cost":"0"}`, 1: `{"cost":"0.000000001"}`, 12_500_000_000: `{"cost":"12.5"}`, -1_500_000_000: `{"cost":"-1.5"}`} {
		got, err := json.Marshal(answer{limit.Money(nano)})
		if string(got) != text || err != nil {
			t.Errorf("%d billionths in JSON: got %s, %v; want %s", nano, got, err, text)
		}
		var back answer
		if err := json.Unmarshal([]byte(text), &back); err != nil || int64(back.Cost) != nano {
			t.Errorf("%s read: got %d billionths, %v; want %d", text, back.Cost, err, nano)
		}
	}
	for _, text := range []string{`{"cost":12}`, `{"cost":"1e3"}`, `{"cost":"--1"}`, `{"cost":""}`} {
		var a answer
		if err := json.Unmarshal([]byte(text), &a); err == nil {
			t.Errorf("%s read: got %d billionths, want an error", text, a.Cost)
		}
	}
}
