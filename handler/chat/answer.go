package chat

import (
	"bytes"

	"tollgate/handler/jsonscan"
)

// Text receives what a model wrote: content, reasoning and the names and
// arguments of tool calls, of one of a call's choices by its index. The
// bytes are only valid during the call.
type Text func(choice int64, text []byte)

// Answer is what the body of an unstreamed answer holds.
type Answer struct {
	// Usage is what the call took; believe it only if Report is UsageTold.
	Usage  Usage
	Report Report
	// Failed is whether the body holds an error in spite of its status.
	Failed bool
	// Written is whether it holds any text.
	Written bool
	// Unread is whether some of the body can't be read: it may hold usage or text.
	Unread bool

	listed  bool // choices is there as a list, perhaps an empty one
	choices int
}

// Is reports whether the body is an answer: it holds a choice, or an empty list of
// them with usage, or an error. Blank lines, HTML and other JSON are none.
func (a *Answer) Is() bool {
	return a.choices > 0 || a.Failed || a.listed && a.Report == UsageTold
}

// ReadAnswer reads the body of an unstreamed answer, as far as it can be read.
func ReadAnswer(body []byte) *Answer {
	p := payload{Scanner: jsonscan.New(body, lax), torn: true}
	err := p.read()
	var each choices
	each.add(p.choices)
	if usage, told := each.usage(); told && p.report != UsageTold {
		p.usage, p.report = usage, UsageTold
	}
	if p.report == UsageTold && p.written && p.usage.CompletionTokens == 0 {
		p.report = UsageBad
	}
	return &Answer{p.usage, p.report, p.failed && !p.written, p.written, err != nil, p.listed, len(p.choices)}
}

// EachText gives the text of an unstreamed answer, or of what there is of one
// that broke off, to count when usage is missing. It reports whether it could read
// all of the body: if not, there may be more text.
func EachText(body []byte, text Text) (whole bool) {
	p := payload{Scanner: jsonscan.New(body, lax), text: text, torn: true}
	return p.read() == nil
}

// payload reads JSON from upstream: an answer, or an event's data.
type payload struct {
	jsonscan.Scanner
	text    Text
	scratch []byte // holds unescaped text
	torn    bool   // the text may break off anywhere, and is read up to there

	usage   Usage
	report  Report
	choices []read
	listed  bool // choices is a list
	written bool // some text
	failed  bool // an error
}

// read is what a payload holds of one choice.
type read struct {
	index    int64
	written  bool // some text
	finished bool // a finish_reason
	usage    Usage
	report   Report
}

const byteOrderMark = "\xEF\xBB\xBF"

// read reads all objects that the data holds: one, as a rule, but some servers
// send several, in lines or in an array. What came before a syntax error counts.
func (p *payload) read() error {
	for {
		p.Literal(byteOrderMark)
		if p.AtEnd() {
			return nil
		}
		if err := p.document(); err != nil {
			return err
		}
	}
}

func (p *payload) document() error {
	switch p.Peek() {
	case '{':
		return p.answer()
	case '[':
		return p.Array(func(int) error {
			if p.Peek() == '{' {
				return p.answer()
			}
			return p.Skip()
		})
	}
	return p.Skip()
}

// answer reads one object.
func (p *payload) answer() error {
	return p.Object(func(key []byte) error {
		switch string(key) {
		case "choices":
			return p.eachChoice()
		case "usage":
			usage, report, err := readUsage(&p.Scanner)
			if report >= p.report {
				p.usage, p.report = usage, report
			}
			return err
		case "error":
			says, err := says(&p.Scanner)
			p.failed = p.failed || says && err == nil
			return err
		}
		return p.Skip()
	})
}

func (p *payload) eachChoice() error {
	if p.Peek() != '[' {
		return p.Skip()
	}
	p.listed = true
	return p.Array(func(int) error {
		if p.Peek() != '{' {
			return p.Skip()
		}
		return p.choice()
	})
}

// choice reads one choice. Its index may come after its text, so the text is
// read when the choice is known.
func (p *payload) choice() error {
	var one read
	var message jsonscan.Scanner // a bookmark
	found := false
	err := p.Object(func(key []byte) (err error) {
		switch string(key) {
		case "delta", "message": // the one that isn't meant may be there as null
			if p.Peek() == '{' {
				message, found = p.Scanner, true
			}
		case "index":
			one.index, _, err = readTokens(&p.Scanner)
			return err
		case "finish_reason":
			one.finished, err = p.reason()
			return err
		case "usage":
			one.usage, one.report, err = readUsage(&p.Scanner)
			return err
		}
		return p.Skip()
	})
	one.index = max(0, one.index)
	one.finished = one.finished && err == nil
	if found && (err == nil || p.torn) {
		end, before := p.Scanner, p.written
		p.Scanner, p.written = message, false
		if read := p.message(one.index); err == nil {
			err = read
		}
		one.written = p.written
		p.Scanner, p.written = end, before || p.written
	}
	p.choices = append(p.choices, one)
	return err
}

// reason consumes a finish_reason and reports whether it is one.
func (p *payload) reason() (finished bool, err error) {
	if p.Peek() != '"' {
		return false, p.Skip()
	}
	raw, escaped, err := p.String()
	return err == nil && !isNone(raw, escaped), err
}

// message reads a message or a part of it. Reasoning has two names, and some
// servers send it under both; it was written once.
func (p *payload) message(choice int64) error {
	reasoned := false
	return p.Object(func(key []byte) error {
		switch string(key) {
		case "reasoning_content", "reasoning":
			if reasoned {
				return p.Skip()
			}
			reasoned = p.Peek() == '"' && !bytes.HasPrefix(p.Rest(), []byte(`""`))
			return p.write(choice)
		case "content", "refusal":
			return p.write(choice)
		case "tool_calls":
			return p.eachCall(choice)
		case "function_call":
			return p.function(choice)
		}
		return p.Skip()
	})
}

func (p *payload) eachCall(choice int64) error {
	if p.Peek() != '[' {
		return p.Skip()
	}
	return p.Array(func(int) error {
		if p.Peek() != '{' {
			return p.Skip()
		}
		return p.Object(func(key []byte) error {
			if string(key) == "function" || string(key) == "custom" {
				return p.function(choice)
			}
			return p.Skip()
		})
	})
}

func (p *payload) function(choice int64) error {
	if p.Peek() != '{' {
		return p.Skip()
	}
	return p.Object(func(key []byte) error {
		switch string(key) {
		case "name", "arguments", "input":
			return p.write(choice)
		}
		return p.Skip()
	})
}

// part reads a part of content that comes in parts, as Mistral's models write
// it: text, or thinking that has parts of its own.
func (p *payload) part(choice int64) error {
	if p.Peek() != '{' {
		return p.Skip()
	}
	return p.Object(func(key []byte) error {
		if string(key) == "text" || string(key) == "thinking" {
			return p.write(choice)
		}
		return p.Skip()
	})
}

// write hands on a string's value, or those of content's parts. Anything else is
// no text.
func (p *payload) write(choice int64) error {
	switch p.Peek() {
	case '"':
		return p.hand(choice)
	case '[':
		return p.Array(func(int) error { return p.part(choice) })
	}
	return p.Skip()
}

// hand hands on a string's value.
func (p *payload) hand(choice int64) error {
	raw, escaped, err := p.String()
	if err != nil && p.torn {
		raw, escaped = jsonscan.StringPrefix(p.Rest()[1:]), true
	}
	if len(raw) == 0 {
		return err
	}
	p.written = true
	if p.text == nil {
		return err
	}
	if escaped {
		p.scratch = jsonscan.AppendUnescaped(p.scratch[:0], raw)
		raw = p.scratch
	}
	p.text(choice, raw)
	return err
}
