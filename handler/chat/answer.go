package chat

import (
	"bytes"
	"errors"
)

// ErrNotAnswer is upstream's body not being a JSON object.
var ErrNotAnswer = errors.New("upstream's answer is not a JSON object")

// Text receives what a model wrote: content, reasoning and the names and
// arguments of tool calls, of one of a call's choices by its index. The
// bytes are only valid during the call.
type Text func(choice int64, text []byte)

// Answer is what an unstreamed answer says of itself.
type Answer struct {
	// Usage is what the call took; believe it only if Report is UsageTold.
	Usage  Usage
	Report Report
	// Failed is whether the body holds an error in spite of its status.
	Failed bool
	// Written is whether it holds any text.
	Written bool
}

// ReadAnswer walks the body of an unstreamed answer. Its error is
// ErrNotAnswer.
func ReadAnswer(body []byte) (*Answer, error) {
	p := payload{scanner: scanner{data: body}}
	if p.read() != nil {
		return nil, ErrNotAnswer
	}
	return &Answer{p.usage, p.report, p.failed, p.written}, nil
}

// EachText gives the text of an unstreamed answer, or of what there is of one
// that broke off, to count when usage is missing. It reports whether it found
// any.
func EachText(body []byte, text Text) bool {
	p := payload{scanner: scanner{data: body}, text: text, torn: true}
	err := p.read() // as far as it goes
	return p.written || err == nil
}

// payload reads one JSON object from upstream: an answer, or an event's data.
type payload struct {
	scanner
	text    Text
	scratch []byte // holds unescaped text
	torn    bool   // the text may break off anywhere, and is read up to there

	usage    Usage
	report   Report
	choices  int
	written  bool // some text
	finished bool // a finish_reason
	failed   bool // an error
}

func (p *payload) read() error {
	err := p.object(func(key []byte) (err error) {
		switch string(key) {
		case "choices":
			return p.eachChoice()
		case "usage":
			p.usage, p.report, err = p.scanner.usage()
			return err
		case "error":
			start := p.pos
			err = p.skip()
			p.failed = saysSomething(p.data[start:p.pos])
			return err
		}
		return p.skip()
	})
	if p.report == UsageTold && p.written && p.usage.CompletionTokens == 0 {
		p.report = UsageBad
	}
	if err == nil && (p.space() != 0 || p.pos < len(p.data)) {
		return errSyntax
	}
	return err
}

// saysSomething is whether the value of an error is one: some servers always have
// the field.
func saysSomething(value []byte) bool {
	switch string(value) {
	case "null", "false", `""`, "{}":
		return false
	}
	return true
}

func (p *payload) eachChoice() error {
	if p.space() != '[' {
		return p.skip()
	}
	return p.array(func(int) error {
		p.choices++
		if p.space() != '{' {
			return p.skip()
		}
		return p.choice()
	})
}

// choice reads one choice. Its index may come after its text, so the text is
// read when the choice is known.
func (p *payload) choice() error {
	var index int64
	message := unknown
	err := p.object(func(key []byte) (err error) {
		switch string(key) {
		case "delta", "message": // the one that isn't meant may be there as null
			if p.space() == '{' {
				message = p.pos
			}
		case "index":
			index, _, err = p.tokens()
			return err
		case "finish_reason":
			p.finished = p.finished || p.space() == '"'
		}
		return p.skip()
	})
	if err != nil && !p.torn || message == unknown {
		return err
	}
	end := p.pos
	p.pos = message
	if read := p.message(max(0, index)); err == nil {
		err = read
	}
	p.pos = end
	return err
}

// message reads a message or a part of it. Reasoning has two names, and some
// servers send it under both; it was written once.
func (p *payload) message(choice int64) error {
	reasoned := false
	return p.object(func(key []byte) error {
		switch string(key) {
		case "reasoning_content", "reasoning":
			if reasoned {
				return p.skip()
			}
			reasoned = p.space() == '"' && !bytes.HasPrefix(p.data[p.pos:], []byte(`""`))
			return p.write(choice)
		case "content", "refusal":
			return p.write(choice)
		case "tool_calls":
			return p.eachCall(choice)
		case "function_call":
			return p.function(choice)
		}
		return p.skip()
	})
}

func (p *payload) eachCall(choice int64) error {
	if p.space() != '[' {
		return p.skip()
	}
	return p.array(func(int) error {
		if p.space() != '{' {
			return p.skip()
		}
		return p.object(func(key []byte) error {
			if string(key) == "function" || string(key) == "custom" {
				return p.function(choice)
			}
			return p.skip()
		})
	})
}

func (p *payload) function(choice int64) error {
	if p.space() != '{' {
		return p.skip()
	}
	return p.object(func(key []byte) error {
		switch string(key) {
		case "name", "arguments", "input":
			return p.write(choice)
		}
		return p.skip()
	})
}

// part reads a part of content that comes in parts, as Mistral's models write
// it: text, or thinking that has parts of its own.
func (p *payload) part(choice int64) error {
	if p.space() != '{' {
		return p.skip()
	}
	return p.object(func(key []byte) error {
		if string(key) == "text" || string(key) == "thinking" {
			return p.write(choice)
		}
		return p.skip()
	})
}

// write hands on a string's value, or those of content's parts. Anything else is
// no text.
func (p *payload) write(choice int64) error {
	switch p.space() {
	case '"':
		return p.hand(choice)
	case '[':
		return p.array(func(int) error { return p.part(choice) })
	}
	return p.skip()
}

// hand hands on a string's value.
func (p *payload) hand(choice int64) error {
	start := p.pos + 1
	raw, escaped, err := p.string()
	if err != nil && p.torn {
		raw, escaped = wellEscaped(p.data[start:]), true
	}
	if len(raw) == 0 {
		return err
	}
	p.written = true
	if p.text == nil {
		return err
	}
	if escaped {
		p.scratch = unescape(p.scratch[:0], raw)
		raw = p.scratch
	}
	p.text(choice, raw)
	return err
}
