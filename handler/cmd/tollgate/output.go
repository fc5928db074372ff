package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// An output is a format of results, the value of --output.
type output string

const (
	asTable output = "table"
	asJSON  output = "json"
)

// String, Set and Type implement pflag.Value.
func (o *output) String() string { return string(*o) }

func (o *output) Set(text string) error {
	if text != string(asTable) && text != string(asJSON) {
		return fmt.Errorf("use %s or %s", asTable, asJSON)
	}
	*o = output(text)
	return nil
}

func (o *output) Type() string { return "format" }

// print prints a result: value as JSON, or the table that table writes.
func (a *app) print(value any, table func(io.Writer)) error {
	if a.output == asJSON {
		encoder := json.NewEncoder(a.stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(value)
	}
	columns := tabwriter.NewWriter(a.stdout, 0, 0, 3, ' ', 0)
	table(columns)
	return columns.Flush()
}

// printLine prints a value as JSON on one line.
func (a *app) printLine(value any) error {
	encoder := json.NewEncoder(a.stdout)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// row writes the cells of a table's row, a dash for each empty one. Names and counters
// contain other people's text, which must not move columns or a terminal's cursor.
func row(w io.Writer, cells ...string) {
	for i, cell := range cells {
		cells[i] = cmp.Or(clean(cell), "-")
	}
	fmt.Fprintln(w, strings.Join(cells, "\t"))
}

// clean replaces characters that act on a terminal: C0 and C1 controls, and those that
// change the direction of text.
func clean(text string) string { return strings.Map(printable, text) }

// printable returns a rune, or the replacement character for one that acts on a terminal.
func printable(r rune) rune {
	if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
		return unicode.ReplacementChar
	}
	return r
}

// number formats a number with thousands separators; 0, which means none, as nothing.
func number(n int64) string {
	if n == 0 {
		return ""
	}
	return groupDigits(strconv.FormatInt(n, 10))
}

// groupDigits puts thousands separators into a whole number.
func groupDigits(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// short abbreviates a number of tokens or calls: 9,999, 12.4k, 3.1M. It truncates, so that
// a limit never looks reached before it is.
func short(n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	if n < 10_000 {
		return sign + cmp.Or(number(n), "0")
	}
	for _, unit := range []struct {
		size int64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if n >= unit.size {
			tenths := n / (unit.size / 10)
			return fmt.Sprintf("%s%s.%d%s", sign, number(tenths/10), tenths%10, unit.name)
		}
	}
	return sign + number(n)
}

// date formats a time; empty if it is zero.
func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

// ifElse returns word if a condition holds, else otherwise.
func ifElse(is bool, word, otherwise string) string {
	if is {
		return word
	}
	return otherwise
}
