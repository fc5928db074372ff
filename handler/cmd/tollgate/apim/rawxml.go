package apim

import (
	"html"
	"regexp"
	"strings"
)

// escapeExpressions makes XML of a policy in which expressions are written as
// they are, quotes and angle brackets included. What is escaped already stays.
func escapeExpressions(text string) string {
	var out strings.Builder
	for len(text) > 0 {
		length := opaque(text)
		switch {
		case strings.HasPrefix(text, "<!--"): // left out: in API Management it may have -- in it
		case length > 0:
			out.WriteString(text[:length])
		case text[0] == '<':
			length = tag(&out, text)
		default:
			length = content(&out, text)
		}
		text = text[length:]
	}
	return out.String()
}

// opaque is how long a comment, a CDATA section or a processing instruction is
// that begins a text; 0 where none does.
func opaque(text string) int {
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

// tag writes a tag, and returns how long it was.
func tag(out *strings.Builder, text string) int {
	out.WriteByte('<')
	for i := 1; i < len(text); {
		switch c := text[i]; c {
		case '>':
			out.WriteByte('>')
			return i + 1
		case '"', '\'':
			i += value(out, text[i:])
		default:
			out.WriteByte(c)
			i++
		}
	}
	return len(text)
}

// value writes an attribute's value with its quotes, and returns how long it
// was. It ends with the first quote that isn't within an expression.
func value(out *strings.Builder, text string) int {
	quote := text[:1]
	end := 1
	for {
		length := strings.Index(text[end:], quote)
		if length < 0 {
			out.WriteString(text) // what is wrong with it, the XML decoder says
			return len(text)
		}
		skip := unclosed(text[end:end+length], text[end:])
		if skip == 0 {
			end += length
			break
		}
		end += skip
	}
	out.WriteString(quote + escaped(text[1:end]) + quote)
	return end + 1
}

// unclosed is where the first expression ends that begins in a plain text and
// doesn't end there; 0 where there is none. The plain text begins text.
func unclosed(plain, text string) int {
	begin := beginning(plain)
	if begin < 0 || closed(plain[begin:]) {
		return 0
	}
	if end := expressionEnd(text[begin:]); end > 0 {
		return begin + end
	}
	return 0
}

// content writes the text before a tag, and returns how long it was. An
// expression in it may have angle brackets.
func content(out *strings.Builder, text string) int {
	length := strings.IndexByte(text, '<')
	if length < 0 {
		length = len(text)
	}
	if end := unclosed(text[:length], text); end > 0 {
		length = end
	}
	out.WriteString(escaped(text[:length]))
	return length
}

// beginning is where the first expression begins, -1 without one.
func beginning(text string) int {
	for i := range len(text) {
		if strings.HasPrefix(text[i:], "@(") || strings.HasPrefix(text[i:], "@{") {
			return i
		}
	}
	return -1
}

// closed reports whether all of a text's expressions end within it, as they do
// where quotes and angle brackets are escaped.
func closed(text string) bool {
	text = html.UnescapeString(text)
	for {
		end := expressionEnd(text)
		if end == 0 {
			return false
		}
		next := beginning(text[end:])
		if next < 0 {
			return true
		}
		text = text[end+next:]
	}
}

var entity = regexp.MustCompile(`^&(#\d+|#x[0-9a-fA-F]+|lt|gt|amp|quot|apos);`)

// escaped makes XML of a text in which some may be escaped already.
func escaped(text string) string {
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
