package apim

import "strings"

// expressionEnd is how long a policy expression is that begins a text: @( … )
// or @{ … }, to the bracket that closes its first. It is 0 where the text
// begins with none, or with one that doesn't end. Brackets and quotes in
// strings, characters and comments don't count.
// Source: https://learn.microsoft.com/azure/api-management/api-management-policy-expressions
func expressionEnd(text string) int {
	if !strings.HasPrefix(text, "@(") && !strings.HasPrefix(text, "@{") {
		return 0
	}
	if end := code(text[1:], 0); end > 0 {
		return 1 + end
	}
	return 0
}

// isExpression reports whether a text is one whole policy expression.
func isExpression(text string) bool { return text != "" && expressionEnd(text) == len(text) }

// closing are the brackets by what opens them.
var closing = map[byte]byte{'(': ')', '[': ']', '{': '}'}

// mostNested bounds how deep interpolated strings may hold others.
const mostNested = 16

// code is how long C# code is that begins with a bracket: to the bracket that
// closes it, 0 where that is missing. nested counts the strings around it.
func code(text string, nested int) int {
	var open []byte
	for i := 0; i < len(text); {
		if length, ok := literal(text[i:], nested); ok {
			if length == 0 {
				return 0
			}
			i += length
			continue
		}
		switch c := text[i]; c {
		case '(', '[', '{':
			open = append(open, closing[c])
		case ')', ']', '}':
			if len(open) == 0 || open[len(open)-1] != c {
				return 0
			}
			if open = open[:len(open)-1]; len(open) == 0 {
				return i + 1
			}
		}
		i++
	}
	return 0
}

// literal is how long a string, character or comment is that begins a text; 0
// where it doesn't end. ok is false where none begins.
func literal(text string, nested int) (length int, ok bool) {
	switch {
	case strings.HasPrefix(text, "//"):
		return after(text, "\n"), true
	case strings.HasPrefix(text, "/*"):
		if end := after(text[2:], "*/"); end > 0 {
			return 2 + end, true
		}
		return 0, true
	case strings.HasPrefix(text, `$@"`), strings.HasPrefix(text, `@$"`):
		return quoted(text, 3, true, true, nested), true
	case strings.HasPrefix(text, `@"`):
		return quoted(text, 2, true, false, nested), true
	case strings.HasPrefix(text, `$"`):
		return quoted(text, 2, false, true, nested), true
	case text[0] == '"':
		return quoted(text, 1, false, false, nested), true
	case text[0] == '\'':
		return character(text), true
	}
	return 0, false
}

// after is where a mark ends in a text, 0 without one.
func after(text, mark string) int {
	if at := strings.Index(text, mark); at >= 0 {
		return at + len(mark)
	}
	return 0
}

// character is how long a character literal is: '"', '\n' or '\u0041'.
func character(text string) int {
	for i := 1; i < len(text) && text[i] != '\n'; i++ {
		switch text[i] {
		case '\\':
			i++
		case '\'':
			return i + 1
		}
	}
	return 0
}

// quoted is how long a string is whose text begins at an offset. In a verbatim
// string, quotes are doubled and lines may end; in an interpolated one, braces
// hold code.
func quoted(text string, from int, verbatim, interpolated bool, nested int) int {
	for i := from; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' && verbatim && strings.HasPrefix(text[i:], `""`):
			i++
		case c == '"':
			return i + 1
		case c == '\\' && !verbatim:
			i++
		case c == '\n' && !verbatim:
			return 0
		case interpolated && (strings.HasPrefix(text[i:], "{{") || strings.HasPrefix(text[i:], "}}")):
			i++
		case interpolated && c == '{':
			length := hole(text[i:], nested+1)
			if length == 0 {
				return 0
			}
			i += length - 1
		}
	}
	return 0
}

// hole is how long an interpolated string's {code:format} is.
func hole(text string, nested int) int {
	if nested > mostNested {
		return 0
	}
	depth := 0
	for i := 1; i < len(text); {
		if length, ok := literal(text[i:], nested); ok {
			if length == 0 {
				return 0
			}
			i += length
			continue
		}
		switch c := text[i]; {
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == '}' && depth == 0:
			return i + 1
		case c == ')' || c == ']' || c == '}':
			depth--
		case c == ':' && depth == 0: // a format, which may have quotes in it
			if end := after(text[i:], "}"); end > 0 {
				return i + end
			}
			return 0
		}
		i++
	}
	return 0
}

// terms splits code at an operator that stands outside of brackets, strings,
// characters and comments.
func terms(text, operator string) []string {
	var all []string
	depth, begin := 0, 0
	for i := 0; i < len(text); {
		if length, ok := literal(text[i:], 0); ok && length > 0 {
			i += length
			continue
		}
		switch c := text[i]; {
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == ')' || c == ']' || c == '}':
			depth--
		case depth == 0 && strings.HasPrefix(text[i:], operator):
			all = append(all, strings.TrimSpace(text[begin:i]))
			i += len(operator)
			begin = i
			continue
		}
		i++
	}
	return append(all, strings.TrimSpace(text[begin:]))
}
