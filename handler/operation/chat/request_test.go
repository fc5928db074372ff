package chat

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"tollgate/handler/operation"
)

// with returns a body with messages and the given fields.
func with(fields string) string {
	return `{"messages":[{"role":"user","content":"hi"}],` + fields + `}`
}

func mustParse(t *testing.T, body string) *Request {
	t.Helper()
	r, err := Parse([]byte(body))
	if err != nil {
		t.Fatalf("Parse(%s): got %v, want no error", body, err)
	}
	return r
}

func TestParseReadsTheEnvelope(t *testing.T) {
	r := mustParse(t, ` {"model":"DeepSeek\u002dR1", "stream" : true,"n":2,
		"messages": [ {"role":"user","content":"{\"n\":9}"} ],
		"max_tokens":100, "max_completion_tokens": 250, "tools":[{"type":"function"}],
		"stream_options":{"x":[1],"include_usage":true}, "temperature":0.6e-1} `)
	if r.Model != "DeepSeek-R1" || !r.Stream || !r.Usage.Include || r.N != 2 {
		t.Errorf("got %+v, want a stream of DeepSeek-R1 with usage and n 2", r)
	}
	if *r.MaxTokens != 100 || *r.MaxCompletionTokens != 250 {
		t.Errorf("got caps %d and %d, want 100 and 250", *r.MaxTokens, *r.MaxCompletionTokens)
	}
	if got, want := string(r.Messages), `[ {"role":"user","content":"{\"n\":9}"} ]`; got != want {
		t.Errorf("got messages %s, want %s", got, want)
	}
	if got, want := string(r.Tools), `[{"type":"function"}]`; got != want {
		t.Errorf("got tools %s, want %s", got, want)
	}
}

func TestParseReadsNullAsAbsent(t *testing.T) {
	r := mustParse(t, with(`"model":null,"stream":null,"stream_options":null,"n":null,"max_tokens":null,"max_completion_tokens":null,"tools":null`))
	if r.Model != "" || r.Stream || r.Usage.Include || r.N != 1 || r.MaxTokens != nil || r.MaxCompletionTokens != nil || r.Tools != nil {
		t.Errorf("got %+v, want n 1 and every other field empty", r)
	}
	if caps := r.Caps(operation.CapRules{}); caps != (operation.Caps{}) {
		t.Errorf("Caps: got %+v, want none", caps)
	}
}

func TestTheEnvelopeHasATierOfServiceThatMayBeDearer(t *testing.T) {
	priority := []operation.DearerField{{Name: "service_tier", Priority: true}}
	other := []operation.DearerField{{Name: "service_tier"}}
	for fields, want := range map[string][]operation.DearerField{
		`"n":1`: nil, `"service_tier":null`: nil, `"service_tier":"auto"`: nil, `"service_tier":"default"`: nil, `"service_tier":"flex"`: nil,
		`"service_tier":"priority"`: priority, `"service\u005ftier":"priority"`: priority,
		`"service_tier":"scale"`: other, `"service_tier":"canary"`: other,
		`"metadata":{"service_tier":"priority"}`: nil,
	} {
		r := mustParse(t, with(fields))
		if got := r.Envelope().Dearer; !slices.Equal(got, want) {
			t.Errorf("%s: got %+v, want %+v", fields, got, want)
		}
		if got := r.WithoutBody().Envelope().Dearer; !slices.Equal(got, want) {
			t.Errorf("%s, without the body: got %+v, want %+v", fields, got, want)
		}
	}
}

// Some servers read 0 as no cap, and would write far more than was reserved.
func TestACapOf0CountsAsNone(t *testing.T) {
	r := mustParse(t, with(`"max_tokens":0,"max_completion_tokens":0,"n":3`))
	if caps := r.Caps(operation.CapRules{}); caps != (operation.Caps{}) {
		t.Errorf("Caps: got %+v, want none", caps)
	}
	if got, want := string(joined(r.Rewrite(operation.Edit{Cap: 16}))), with(`"max_tokens":16,"n":3`); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := string(joined(r.Rewrite(operation.Edit{}))), with(`"max_tokens":0,"max_completion_tokens":0,"n":3`); got != want {
		t.Errorf("got %s after an empty edit, want %s", got, want)
	}
}

func TestParseAcceptsUnusualButUnambiguousBodies(t *testing.T) {
	for _, body := range []string{
		with(`"tools":[{"function":{"parameters":{"properties":{"Name":{},"name":{}}}}}]`),
		with(`"metadata":{"a":1,"A":2}`),
		with(`"max_tokens":0`),
		`{"messages":[{"role":"user","content":[{"type":"text","text":"\ud800 \u00e9 \n é"}]}]}`,
		`{"messages":[{}]}`,
		strings.Repeat(" ", 100) + with(`"x":[]`) + "\r\n\t ",
	} {
		mustParse(t, body)
	}
}

// nested returns an array of n levels.
func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// manyKeys returns members with 40 different keys.
func manyKeys() string {
	var members strings.Builder
	for i := range 40 {
		members.WriteString(`"k` + strings.Repeat("x", i) + `":0,`)
	}
	return members.String()
}

// wrongBodies are bodies that Parse must refuse, with the field and the problem that
// the error must name.
var wrongBodies = map[string]struct{ body, field, problem string }{
	"nothing":                        {"", "", "empty"},
	"white space":                    {" \n", "", "empty"},
	"text":                           {"hello", "", "not valid JSON"},
	"an array":                       {`[{}]`, "", "not a JSON object"},
	"a string":                       {`"messages"`, "", "not a JSON object"},
	"null":                           {`null`, "", "not a JSON object"},
	"an open object":                 {`{"messages":[{}]`, "", "not valid JSON"},
	"a trailing comma":               {`{"messages":[{}],}`, "", "not valid JSON"},
	"a comment":                      {`{"messages":[{}]/**/}`, "", "not valid JSON"},
	"NaN":                            {with(`"temperature":NaN`), "", "not valid JSON"},
	"a leading zero":                 {with(`"seed":01`), "", "not valid JSON"},
	"a bare control character":       {with("\"user\":\"a\x01b\""), "", "not valid JSON"},
	"a bad escape":                   {with(`"user":"\x41"`), "", "not valid JSON"},
	"a bad unicode escape":           {with(`"user":"\u12g4"`), "", "not valid JSON"},
	"a NUL after the object":         {with(`"n":1`) + "\x00", "", "goes on after"},
	"a second object":                {with(`"n":1`) + `{"n":9}`, "", "goes on after"},
	"text after the object":          {with(`"n":1`) + `x`, "", "goes on after"},
	"a byte order mark":              {"\xEF\xBB\xBF" + with(`"n":1`), "", "not valid JSON"},
	"invalid UTF-8":                  {with("\"user\":\"\xff\""), "", "UTF-8"},
	"an overlong encoding":           {with("\"user\":\"\xc0\xaf\""), "", "UTF-8"},
	"UTF-16":                         {"{\x00\"\x00", "", "not valid JSON"},
	"no messages":                    {`{"model":"x"}`, "messages", "missing or empty"},
	"null messages":                  {`{"messages":null}`, "messages", "missing or empty"},
	"empty messages":                 {`{"messages":[ ]}`, "messages", "missing or empty"},
	"messages an object":             {`{"messages":{}}`, "messages", "must be an array"},
	"messages a string":              {`{"messages":"hi"}`, "messages", "must be an array"},
	"a message a string":             {`{"messages":[{},"hi"]}`, "messages[1]", "must be an object"},
	"a message null":                 {`{"messages":[null]}`, "messages[0]", "must be an object"},
	"model a number":                 {with(`"model":7`), "model", "must be a string"},
	"stream a string":                {with(`"stream":"true"`), "stream", "must be true or false"},
	"stream a number":                {with(`"stream":1`), "stream", "must be true or false"},
	"tools an object":                {with(`"tools":{}`), "tools", "must be an array"},
	"stream_options an array":        {with(`"stream_options":[]`), "stream_options", "must be an object"},
	"stream_options a string":        {with(`"stream_options":"x"`), "stream_options", "must be an object"},
	"include_usage a string":         {with(`"stream_options":{"include_usage":"no"}`), "stream_options.include_usage", "must be true or false"},
	"service_tier a number":          {with(`"service_tier":1`), "service_tier", "must be a string"},
	"service_tier an array":          {with(`"service_tier":["priority"]`), "service_tier", "must be a string"},
	"service_tier false":             {with(`"service_tier":false`), "service_tier", "must be a string"},
	"n zero":                         {with(`"n":0`), "n", "must be 1 or more"},
	"n negative":                     {with(`"n":-1`), "n", "must be 1 or more"},
	"n fractional":                   {with(`"n":1.5`), "n", "must be a whole number"},
	"n a string":                     {with(`"n":"2"`), "n", "must be a whole number"},
	"n beyond 64 bits":               {with(`"n":9223372036854775808`), "n", "too large"},
	"max_tokens negative":            {with(`"max_tokens":-1`), "max_tokens", "must be 0 or more"},
	"max_tokens minus zero":          {with(`"max_tokens":-0`), "max_tokens", "must be 0 or more"},
	"max_tokens negative, beyond":    {with(`"max_tokens":-9223372036854775809`), "max_tokens", "must be 0 or more"},
	"max_tokens with a point":        {with(`"max_tokens":10.0`), "max_tokens", "must be a whole number"},
	"max_tokens with an exponent":    {with(`"max_tokens":1e3`), "max_tokens", "must be a whole number"},
	"max_tokens an object":           {with(`"max_tokens":{}`), "max_tokens", "must be a whole number"},
	"max_tokens true":                {with(`"max_tokens":true`), "max_tokens", "must be a whole number"},
	"max_completion_tokens negative": {with(`"max_completion_tokens":-5`), "max_completion_tokens", "must be 0 or more"},
	"max_completion_tokens beyond":   {with(`"max_completion_tokens":99999999999999999999`), "max_completion_tokens", "too large"},

	"a repeated known key":                 {with(`"max_tokens":1,"max_tokens":9`), "max_tokens", "twice"},
	"a repeated unknown key":               {with(`"canary":1,"canary":9`), "", "has a key twice"},
	"a key repeated by escapes":            {with(`"max_tokens":1,"max\u005ftokens":9`), "max_tokens", "twice"},
	"a key in another case":                {with(`"max_tokens":1,"Max_Tokens":9`), "max_tokens", "twice"},
	"an unknown key in another case":       {with(`"canary":1,"Canary":9`), "", "has a key twice"},
	"only another case":                    {with(`"MAX_TOKENS":9`), "max_tokens", "another case"},
	"only another case, by escapes":        {with(`"\u004eot":1,"\u004e":9`), "n", "another case"},
	"a repeated service_tier":              {with(`"service_tier":"default","service\u005ftier":"priority"`), "service_tier", "twice"},
	"service_tier in another case":         {with(`"Service_Tier":"priority"`), "service_tier", "another case"},
	"the Kelvin sign":                      {with(`"max_toKens":9`), "max_tokens", "another case"},
	"the Kelvin sign, escaped":             {with(`"max_to\u212aens":9`), "max_tokens", "another case"},
	"the long s":                           {with(`"ſtream":true`), "stream", "another case"},
	"the dotless i":                        {with(`"max_completıon_tokens":9`), "max_completion_tokens", "another case"},
	"the dotted I":                         {with(`"MAX_COMPLETİON_TOKENS":9`), "max_completion_tokens", "another case"},
	"a repeated key beyond the first few":  {with(manyKeys() + `"canary":1,"cAnary":2`), "", "has a key twice"},
	"in stream_options, repeated":          {with(`"stream_options":{"include_usage":true,"include_usage":false}`), "stream_options.include_usage", "twice"},
	"in stream_options, another case":      {with(`"stream_options":{"Include_Usage":true}`), "stream_options.include_usage", "another case"},
	"in a message, repeated":               {`{"messages":[{"content":"a","content":"b"}]}`, "messages[0].content", "twice"},
	"in a message, another case":           {`{"messages":[{},{"Content":"b"}]}`, "messages[1].content", "another case"},
	"in a part of a message, another case": {`{"messages":[{"content":[{"type":"text","teXt":"b"}]}]}`, "messages[0].text", "another case"},
	"in tools, repeated":                   {with(`"tools":[{"canary":{"canary":1,"canary":2}}]`), "tools", "has a key twice"},
	"in a field that isn't read, repeated": {with(`"response_format":{"x":{"canary":1,"canary":2}}`), "", "has a key twice"},
	"nesting deeper than 64":               {with(`"x":` + nested(64)), "", "nests deeper than 64"},
	"nesting deeper than 64 in a message":  {`{"messages":[{"content":` + nested(62) + `}]}`, "messages[0]", "nests deeper than 64"},
	"nesting that would exhaust the stack": {strings.Repeat("[", 1<<20), "", "nests deeper than 64"},
	"objects nested a million levels deep": {strings.Repeat(`{"a":`, 1<<20), "", "nests deeper than 64"},
}

func TestParseRefusesAnInvalidOrAmbiguousBody(t *testing.T) {
	for name, c := range wrongBodies {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(c.body))
			var wrong *operation.FieldError
			if !errors.As(err, &wrong) {
				t.Fatalf("got %v, want a FieldError", err)
			}
			if wrong.Field != c.field || !strings.Contains(wrong.Problem, c.problem) || wrong.Fix == "" {
				t.Errorf("got %#v, want field %q, problem %q", wrong, c.field, c.problem)
			}
			if strings.Contains(strings.ToLower(err.Error()), "canary") {
				t.Errorf("got %v, want no text of the caller in the error", err)
			}
		})
	}
}

func TestParseAccepts64Levels(t *testing.T) {
	mustParse(t, with(`"x":`+strings.Repeat("[", 63)+strings.Repeat("]", 63)))
}

func TestCompletionTokensNeverOverflow(t *testing.T) {
	for _, test := range []struct{ completions, each, want int64 }{
		{2, math.MaxInt64, math.MaxInt64},
		{math.MaxInt64, 2, math.MaxInt64},
		{3037000500, 3037000500, math.MaxInt64},
		{3037000499, 3037000499, 9223372030926249001},
		{0, math.MaxInt64, 0},
	} {
		if got := (operation.Envelope{Completions: test.completions}).CompletionTokens(test.each); got != test.want {
			t.Errorf("%d completions of %d: got %d tokens, want %d", test.completions, test.each, got, test.want)
		}
	}
}

func TestCapsAreTheLargestAndTheOneThatIsObeyed(t *testing.T) {
	both := `"max_tokens":1,"max_completion_tokens":10000`
	for _, test := range []struct {
		fields          string
		rules           operation.CapRules
		largest, obeyed int64
	}{
		{both, operation.CapRules{}, 10000, 10000},
		{both, newer, 10000, 10000},
		{both, operation.CapRules{NewerCap: true, DropsExtra: true}, 1, 1},
		{`"max_tokens":0,"max_completion_tokens":3`, operation.CapRules{}, 3, 0},
		{`"max_tokens":0,"max_completion_tokens":3`, newer, 3, 3},
		{`"max_tokens":0,"max_completion_tokens":3`, operation.CapRules{EitherCap: true}, 3, 3},
		{`"max_tokens":5`, operation.CapRules{EitherCap: true}, 5, 5},
		{`"max_tokens":5`, newer, 5, 0},
		{`"max_tokens":9223372036854775807`, operation.CapRules{}, math.MaxInt64, math.MaxInt64},
	} {
		if got, want := mustParse(t, with(test.fields)).Caps(test.rules), (operation.Caps{Largest: test.largest, Obeyed: test.obeyed}); got != want {
			t.Errorf("%s, %+v: got %+v, want %+v", test.fields, test.rules, got, want)
		}
	}
}
