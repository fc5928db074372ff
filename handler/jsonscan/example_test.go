package jsonscan_test

import (
	"fmt"

	"tollgate/handler/jsonscan"
)

// Read one field of a body, and check all of it.
func ExampleScanner() {
	body := []byte(`{"model": "gpt-4\u006f", "messages": [{"role": "user"}]}`)
	s := jsonscan.New(body, jsonscan.Options{Distinct: true})
	var model []byte
	err := s.Object(func(key []byte) error {
		if string(key) != "model" {
			return s.Skip()
		}
		raw, _, err := s.String()
		model = jsonscan.AppendUnescaped(nil, raw)
		return err
	})
	fmt.Printf("%s, %v, %v\n", model, err, s.AtEnd())
	// Output: gpt-4o, <nil>, true
}

// Refuse an object that two readers could understand differently.
func ExampleScanner_Distinct() {
	s := jsonscan.New([]byte(`{"max_tokens": 10, "Max_Tokens": 1000000}`), jsonscan.Options{})
	err := s.Distinct(jsonscan.Keys{Fold: true}, func([]byte) error { return s.Skip() })
	fmt.Println("a key", err)
	// Output: a key appears twice, perhaps in another case
}
