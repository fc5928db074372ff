package apim

import (
	"regexp"
	"strings"
)

// begins finds an expression: an attribute's value, or an element's text.
var begins = regexp.MustCompile(`=\s*"@|>\s*@[({]`)

// escapeExpressions makes XML of a policy whose expressions stand as they are,
// quotes and angle brackets included. What is escaped already stays.
func escapeExpressions(text string) string {
	var out strings.Builder
	for {
		found := begins.FindStringIndex(text)
		if found == nil {
			break
		}
		from := found[0] + strings.IndexByte(text[found[0]:], '@')
		length := expressionLength(text[from:])
		out.WriteString(text[:from])
		out.WriteString(escaped(text[from : from+length]))
		text = text[from+length:]
	}
	return out.String() + text
}

// expressionLength is how long an expression is that begins a text: to the
// bracket that closes its first, strings within skipped.
func expressionLength(text string) int {
	open, closed := byte('('), byte(')')
	if len(text) > 1 && text[1] == '{' {
		open, closed = '{', '}'
	}
	depth, quoted := 0, false
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && quoted:
			i++
		case !quoted && strings.HasPrefix(text[i:], `'"'`): // a character, which opens no string
			i += 2
		case c == '"':
			if depth == 0 {
				return i // it never opened: no expression after all
			}
			quoted = !quoted
		case quoted:
		case c == open:
			depth++
		case c == closed:
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

var entity = regexp.MustCompile(`^&(#\d+|#x[0-9a-fA-F]+|[a-z]+);`)

func escaped(expression string) string {
	var out strings.Builder
	for i := range len(expression) {
		switch c := expression[i]; {
		case c == '"':
			out.WriteString("&quot;")
		case c == '<':
			out.WriteString("&lt;")
		case c == '&' && !entity.MatchString(expression[i:]):
			out.WriteString("&amp;")
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}
