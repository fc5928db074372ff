// Package secret provides Text, a string that can't be printed or logged by accident, and
// tells by their names which headers may hold secrets.
package secret

import (
	"fmt"
	"log/slog"
)

// A Text is a secret, such as a key. Printing, logging or encoding it shows only whether
// it is empty. Reveal returns it.
type Text struct{ value string }

// New returns value as a secret.
func New(value string) Text { return Text{value} }

// Reveal returns the secret. Call it only where the secret is sent or compared.
func (t Text) Reveal() string { return t.value }

// Empty reports whether the secret is empty.
func (t Text) Empty() bool { return t.value == "" }

// String returns what is printed in place of the secret.
func (t Text) String() string {
	if t.Empty() {
		return "(none)"
	}
	return "(secret)"
}

// Format implements fmt.Formatter, so that no verb, not even %#v, shows the value.
func (t Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// LogValue implements slog.LogValuer.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText implements encoding.TextMarshaler, so that no encoder shows the value.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Text) UnmarshalText(text []byte) error {
	t.value = string(text)
	return nil
}
