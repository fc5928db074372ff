// Package secret holds text that must never be printed.
package secret

import (
	"fmt"
	"log/slog"
)

// Text is a secret, such as a key. Every way of printing it shows only whether
// it is there; Reveal gives it away.
type Text struct{ value string }

// New makes a secret of a string.
func New(value string) Text { return Text{value} }

// Reveal is the secret itself, for the one place that sends it.
func (t Text) Reveal() string { return t.value }

// Empty says that there is no secret.
func (t Text) Empty() bool { return t.value == "" }

// String is what a secret looks like in any print.
func (t Text) String() string {
	if t.Empty() {
		return "(none)"
	}
	return "(secret)"
}

// Format keeps every verb, %#v among them, from showing the value.
func (t Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// LogValue implements slog.LogValuer.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText keeps encoders, JSON's among them, from showing the value.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a secret from a configuration.
func (t *Text) UnmarshalText(text []byte) error {
	t.value = string(text)
	return nil
}
