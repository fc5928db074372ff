package apim

import "strings"

// expressionLength returns the length of the policy expression at the start of a text: @( … )
// or @{ … }, up to the bracket that closes the first one. It returns 0 if there is none or
// it doesn't end. Brackets and quotes in strings, characters and comments don't count.
// Source: https://learn.microsoft.com/azure/api-management/api-management-policy-expressions
func expressionLength(text string) int {
	if !strings.HasPrefix(text, "@(") && !strings.HasPrefix(text, "@{") {
		return 0
	}
	if end := codeLength(text[1:], 0); end > 0 {
		return 1 + end
	}
	return 0
}

// isExpression reports whether a text is one whole policy expression.
func isExpression(text string) bool { return text != "" && expressionLength(text) == len(text) }

// closing holds the closing brackets by their opening ones.
var closing = map[byte]byte{'(': ')', '[': ']', '{': '}'}

// maxNested is the deepest nesting of interpolated strings.
const maxNested = 16

// codeLength returns the length of C# code that starts with a bracket, up to the one that closes
// it; 0 if that is missing. nested is the number of interpolated strings around it.
func codeLength(text string, nested int) int {
	var open []byte
	for i := 0; i < len(text); {
		if length, ok := literalLength(text[i:], nested); ok {
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

// literalLength returns the length of the string, character or comment at the start of a text; 0
// if it doesn't end. ok is false if there is none.
func literalLength(text string, nested int) (length int, ok bool) {
	switch {
	case strings.HasPrefix(text, "//"):
		return after(text, "\n"), true
	case strings.HasPrefix(text, "/*"):
		if end := after(text[2:], "*/"); end > 0 {
			return 2 + end, true
		}
		return 0, true
	case strings.HasPrefix(text, `$@"`), strings.HasPrefix(text, `@$"`):
		return stringLength(text, 3, true, true, nested), true
	case strings.HasPrefix(text, `@"`):
		return stringLength(text, 2, true, false, nested), true
	case strings.HasPrefix(text, `$"`):
		return stringLength(text, 2, false, true, nested), true
	case text[0] == '"':
		return stringLength(text, 1, false, false, nested), true
	case text[0] == '\'':
		return characterLength(text), true
	}
	return 0, false
}

// after returns the index after the first mark in a text; 0 if there is none.
func after(text, mark string) int {
	if at := strings.Index(text, mark); at >= 0 {
		return at + len(mark)
	}
	return 0
}

// characterLength returns the length of a character literal: '"', '\n' or '\u0041'.
func characterLength(text string) int {
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

// stringLength returns the length of a string literal whose content starts at from. A verbatim
// string has doubled quotes and may span lines; an interpolated one has code in braces.
func stringLength(text string, from int, verbatim, interpolated bool, nested int) int {
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
			length := interpolationLength(text[i:], nested+1)
			if length == 0 {
				return 0
			}
			i += length - 1
		}
	}
	return 0
}

// interpolationLength returns the length of an interpolated string's {code:format} at the start
// of a text; 0 if it doesn't end.
func interpolationLength(text string, nested int) int {
	if nested > maxNested {
		return 0
	}
	depth := 0
	for i := 1; i < len(text); {
		if length, ok := literalLength(text[i:], nested); ok {
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
		case c == ':' && depth == 0: // a format, which may contain quotes
			if end := after(text[i:], "}"); end > 0 {
				return i + end
			}
			return 0
		}
		i++
	}
	return 0
}

// splitTerms splits code at an operator outside of brackets, strings, characters and comments.
func splitTerms(text, operator string) []string {
	var all []string
	depth, begin := 0, 0
	for i := 0; i < len(text); {
		if length, ok := literalLength(text[i:], 0); ok && length > 0 {
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
