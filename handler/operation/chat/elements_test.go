package chat

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"tollgate/handler/operation"
	"tollgate/handler/operation/fields"
)

// keys returns n members of an object with different keys.
func keys(n int) string {
	var members strings.Builder
	for i := range n {
		members.WriteString(`"k` + strconv.Itoa(i) + `":0,`)
	}
	return strings.TrimSuffix(members.String(), ",")
}

// times returns the inside of an array: an element n times.
func times(n int, element string) string {
	return strings.TrimSuffix(strings.Repeat(element+",", n), ",")
}

// Memory must stay in proportion to the body, but an element of a few bytes can cost
// many times its size.
func TestParseRefusesTooManyElements(t *testing.T) {
	for name, c := range map[string]struct{ body, field, problem string }{
		"empty messages":              {`{"messages":[` + times(1_390_000, "{}") + `]}`, "messages", "more than 4096 messages"},
		"one message too many":        {`{"messages":[` + times(4097, `{"role":"user"}`) + `]}`, "messages", "more than 4096 messages"},
		"parts of a message":          {`{"messages":[{},{"content":[` + times(40_000, `{"text":0}`) + `]}]}`, "messages[1]", "65536"},
		"texts of a message":          {`{"messages":[{"content":[` + times(70_000, `""`) + `]}]}`, "messages[0]", "65536"},
		"tool calls":                  {`{"messages":[{"tool_calls":[` + times(70_000, `{}`) + `]}]}`, "messages[0]", "65536"},
		"keys of the body":            {with(keys(450_000)), "", "65536"},
		"keys of a tool":              {with(`"tools":[{` + keys(450_000) + `}]`), "tools", "65536"},
		"tools":                       {with(`"tools":[` + times(70_000, "{}") + `]`), "tools", "65536"},
		"strings in an unknown field": {with(`"canary":[` + times(70_000, `"canary"`) + `]`), "", "65536"},
		"objects in an unknown field": {with(`"canary":[` + times(70_000, `{}`) + `]`), "", "65536"},
		"deep objects":                {with(`"a":[` + times(9500, strings.Repeat(`{"a":`, 60)+"0"+strings.Repeat("}", 60)) + `]`), "", "65536"},
		"keys of stream_options":      {with(`"stream_options":{` + keys(70_000) + `}`), "stream_options", "65536"},
		"all of them together": {with(`"a":[` + times(20_000, `{}`) + `],"b":[` + times(30_000, `"x"`) + `],"tools":[{` + keys(20_000) + `}]`),
			"tools", "65536"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(c.body))
			wrong, ok := errors.AsType[*operation.FieldError](err)
			if !ok || wrong.Field != c.field || !strings.Contains(wrong.Problem, c.problem) || wrong.Fix == "" {
				t.Errorf("got %#v, want field %q, problem %q", err, c.field, c.problem)
			}
			if ok && strings.Contains(wrong.Error(), "canary") {
				t.Errorf("got %v, want no text of the caller in the error", err)
			}
		})
	}
}

func TestParseAcceptsAsManyElementsAsAllowed(t *testing.T) {
	const others = 8 // the body, two keys, a message and its two members
	most := fields.MaxElements - others
	for name, body := range map[string]string{
		"as many messages as are allowed": `{"messages":[` + times(4096, `{"role":"user","content":"x"}`) + `]}`,
		"as many strings as are allowed":  with(`"a":[` + times(most, `"x"`) + `]`),
		"a list of token ids":             with(`"input":[` + times(1_000_000, "1") + `]`),
		"a list of lists of token ids":    with(`"input":[` + times(100_000, "[1,2]") + `]`),
		"one long text":                   with(`"a":"` + strings.Repeat("a", 4<<20) + `"`),
	} {
		t.Run(name, func(t *testing.T) { mustParse(t, body) })
	}
	if _, err := Parse([]byte(with(`"a":[` + times(most+1, `"x"`) + `]`))); err == nil {
		t.Error("got one string too many accepted by Parse, want an error")
	}
}
