package apim

import (
	"html"
	"regexp"
	"strings"
)

// escapeExpressions makes valid XML from a policy whose expressions have unescaped quotes
// and angle brackets. It keeps what is escaped already.
func escapeExpressions(text string) string {
	var out strings.Builder
	for len(text) > 0 {
		length := opaqueLength(text)
		switch {
		case strings.HasPrefix(text, "<!--"): // dropped: in API Management it may contain --
		case length > 0:
			out.WriteString(text[:length])
		case text[0] == '<':
			length = writeTag(&out, text)
		default:
			length = writeContent(&out, text)
		}
		text = text[length:]
	}
	return out.String()
}

// opaqueLength returns the length of the comment, CDATA section or processing instruction at the
// start of a text; 0 if there is none.
func opaqueLength(text string) int {
	for begin, end := range map[string]string{"<!--": "-->", "<![CDATA[": "]]>", "<?": "?>"} {
		if strings.HasPrefix(text, begin) {
			if length := after(text[len(begin):], end); length > 0 {
				return len(begin) + length
			}
			return len(text)
		}
	}
	return 0
}

// writeTag writes a tag and returns its length in the input.
func writeTag(out *strings.Builder, text string) int {
	out.WriteByte('<')
	for i := 1; i < len(text); {
		switch c := text[i]; c {
		case '>':
			out.WriteByte('>')
			return i + 1
		case '"', '\'':
			i += writeValue(out, text[i:])
		default:
			out.WriteByte(c)
			i++
		}
	}
	return len(text)
}

// writeValue writes an attribute's value with its quotes and returns its length in the input.
// The value ends at the first quote outside of expressions.
func writeValue(out *strings.Builder, text string) int {
	quote := text[:1]
	end := 1
	for {
		length := strings.Index(text[end:], quote)
		if length < 0 {
			out.WriteString(text) // the XML decoder reports the fault
			return len(text)
		}
		skip := unclosed(text[end:end+length], text[end:])
		if skip == 0 {
			end += length
			break
		}
		end += skip
	}
	out.WriteString(quote + escape(text[1:end]) + quote)
	return end + 1
}

// unclosed returns the end, in text, of the first expression that begins in plain and
// doesn't end there; 0 if there is none. plain is a prefix of text.
func unclosed(plain, text string) int {
	begin := expressionStart(plain)
	if begin < 0 || closed(plain[begin:]) {
		return 0
	}
	if end := expressionLength(text[begin:]); end > 0 {
		return begin + end
	}
	return 0
}

// writeContent writes the text before a tag and returns its length in the input. Expressions in
// it may contain angle brackets.
func writeContent(out *strings.Builder, text string) int {
	length := strings.IndexByte(text, '<')
	if length < 0 {
		length = len(text)
	}
	if end := unclosed(text[:length], text); end > 0 {
		length = end
	}
	out.WriteString(escape(text[:length]))
	return length
}

// expressionStart returns the index of the first expression, -1 if there is none.
func expressionStart(text string) int {
	for i := range len(text) {
		if strings.HasPrefix(text[i:], "@(") || strings.HasPrefix(text[i:], "@{") {
			return i
		}
	}
	return -1
}

// closed reports whether all expressions in a text end within it, as they do if quotes and
// angle brackets are escaped.
func closed(text string) bool {
	text = html.UnescapeString(text)
	for {
		end := expressionLength(text)
		if end == 0 {
			return false
		}
		next := expressionStart(text[end:])
		if next < 0 {
			return true
		}
		text = text[end+next:]
	}
}

var entity = regexp.MustCompile(`^&(#\d+|#x[0-9a-fA-F]+|lt|gt|amp|quot|apos);`)

// escape escapes a text, parts of which may be escaped already.
func escape(text string) string {
	var out strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"':
			out.WriteString("&quot;")
		case c == '\'':
			out.WriteString("&apos;")
		case c == '<':
			out.WriteString("&lt;")
		case c == '>':
			out.WriteString("&gt;")
		case c == '&' && !entity.MatchString(text[i:]):
			out.WriteString("&amp;")
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}
