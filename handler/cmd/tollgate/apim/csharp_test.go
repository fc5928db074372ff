package apim

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// expressions are complete, and each contains something that looks like its end.
var expressions = []string{
	`@(context.Subscription.Id)`,
	`@("a" + "b")`,
	`@(x.Split('(')[0])`,
	`@(x.Split('"')[0] + "'")`,
	`@(x == '\'' ? "(" : "\")")`,
	`@(x == '\u0022')`,
	`@{ var c = '}'; return "x"; }`,
	`@{ /* } " ' */ return "x"; }`,
	"@{ // it's }\n return \"x\"; }",
	`@("Bearer " + a["x"] + "<")`,
	`@(h("a","<"))`,
	`@(new Regex(@"^\(""(\d+)").IsMatch(x))`,
	"@{ var s = @\"C:\\\"; return s + @\"line\n\"\"quoted\"\"\"; }",
	`@($"{a["k"]}:{b:yyyy-MM-dd'T'HH} {{not}} {(c ? "}" : "{")}")`,
	`@($"{$"{x}"}{y.Where(i => i > 1).Count()}")`,
	`@($@"{x}\" + ")")`,
	`@(@$"{x}""" + ")")`,
	`@(context.Variables.GetValueOrDefault<string>("a") != null && 1 << 2 > 3 || a < b)`,
	`@(a[b[0]]>1)`,
	`@{ return new JObject(new JProperty("a", new JArray{ 1, 2 })).ToString(); }`,
	`@{ if (a) { return "{"; } else { return "}"; } }`,
	`@{ string[] v; if (context.Request.Headers.TryGetValue("A", out v) && v[0].StartsWith("B ", StringComparison.OrdinalIgnoreCase)) { return v[0].Split(' ').Last(); } return ""; }`,
	`@("https://example.com/a?b=c&d=e" /* // */)`,
	`@(a ? "x" : "y")`,
	`@()`,
}

func TestAnExpressionEndsAtItsClosingBracket(t *testing.T) {
	for _, text := range expressions {
		for _, after := range []string{"", `"`, `" b="c)"`, "</value>", ")", "}"} {
			if got := expressionLength(text + after); got != len(text) {
				t.Errorf("%s%s: got an expression of %d bytes, want %d", text, after, got, len(text))
			}
		}
	}
	for _, text := range []string{"", "@", "@x", "(a)", "@(", "@(a", `@("a)`, "@('a)", "@{ /* }", "@(a]", `@(@"a"")`, `@($"{a")`, `@($"{a)")`, "@(\"a\n\")", "@{ // }", strings.Repeat(`@($"{`, 100) + strings.Repeat(`}")`, 100)} {
		if got := expressionLength(text); got != 0 {
			t.Errorf("%q: got an expression of %d bytes, want none", text, got)
		}
	}
}

// texts returns a document's attributes and texts as an XML reader reads them.
func texts(t *testing.T, document string) (all []string, err error) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(document))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			for _, a := range token.Attr {
				all = append(all, a.Name.Local+"="+a.Value)
			}
		case xml.CharData:
			if text := strings.TrimSpace(string(token)); text != "" {
				all = append(all, text)
			}
		}
	}
}

// TestExpressionsAreReadInEveryPlace writes each expression in every place, plain and
// escaped, with an attribute and an element after it.
func TestExpressionsAreReadInEveryPlace(t *testing.T) {
	for _, expression := range expressions {
		escape := strings.NewReplacer("&", "&amp;", `"`, "&quot;", "'", "&apos;", "<", "&lt;", ">", "&gt;")
		for name, written := range map[string]string{"as it is": expression, "escaped": escape.Replace(expression)} {
			for place, frame := range map[string]string{
				"attribute":                  `<a x="%" y="z"/><end e="f"/>`,
				"attribute in single quotes": `<a x='%' y="z"/><end e="f"/>`,
				"attribute behind a text":    `<a x="Bearer %" y="z"/><end e="f"/>`,
				"two in an attribute":        `<a x="% and %" y="z"/><end e="f"/>`,
				"text":                       `<a y="z">%</a><end e="f"/>`,
				"text on a line of its own":  "<a y=\"z\">\n  %\n</a><end e=\"f\"/>",
				"text behind a text":         `<a y="z">Bearer %, % too</a><end e="f"/>`,
				"text before a child":        `<a y="z">%<b/></a><end e="f"/>`,
			} {
				if strings.HasPrefix(place, "attribute in single") && name == "as it is" && strings.Contains(expression, "'") && !strings.Contains(expression, `"`) && !closed(expression) {
					continue
				}
				document := strings.ReplaceAll(frame, "%", written)
				got, err := texts(t, escapeExpressions(document))
				if err != nil {
					t.Errorf("%s, %s: got error %v for %s, want it read", place, name, err, document)
					continue
				}
				want := strings.TrimSpace(strings.ReplaceAll(frame, "%", expression))
				all := strings.Join(got, "\x00")
				if !strings.Contains(all, expression) || !strings.Contains(all, "y=z") || got[len(got)-1] != "e=f" {
					t.Errorf("%s, %s: got %q, want %q", place, name, got, want)
				}
			}
		}
	}
}

func TestOtherTextIsUnchanged(t *testing.T) {
	for document, want := range map[string]string{
		`<a b="c@(d" e="f"/>`:                            "b=c@(d,e=f",
		`<a b="mail@example.com">x@y</a>`:                "b=mail@example.com,x@y",
		`<a b="?c=d&e=f&amp;g=h">i & j &lt; k</a>`:       "b=?c=d&e=f&g=h,i & j < k",
		`<a><![CDATA[@{ return 1 < 2; }]]></a>`:          "@{ return 1 < 2; }",
		`<!-- @(" -- --><?pi @("?><a b="c"/><!-- @{ -->`: "b=c",
		`<a b='"' c="'"/>`:                               `b=",c='`,
		`<a b="@"/>`:                                     "b=@",
	} {
		got, err := texts(t, escapeExpressions(document))
		if err != nil || strings.Join(got, ",") != want {
			t.Errorf("%s: got %q and error %v, want %s", document, got, err, want)
		}
	}
}

func FuzzEscapedPoliciesKeepTheirMeaning(f *testing.F) {
	for _, expression := range expressions {
		f.Add(`<a x="` + expression + `">` + expression + `</a>`)
	}
	f.Fuzz(func(t *testing.T, document string) {
		escaped := escapeExpressions(document)
		before, err := texts(t, document)
		if err != nil || strings.Contains(document, "<!--") || strings.Contains(document, "<![CDATA[") {
			return
		}
		for _, text := range before {
			if begin := expressionStart(text); begin >= 0 && !closed(text[begin:]) {
				return // not a policy, and indistinguishable from an expression written without escapes
			}
		}
		after, err := texts(t, escaped) // valid XML keeps its meaning
		if err != nil || strings.Join(before, "\x00") != strings.Join(after, "\x00") {
			t.Errorf("%q: got %q and error %v when escaped as %q, want %q", document, after, err, escaped, before)
		}
	})
}
