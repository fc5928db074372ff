package chat

import "errors"

// ErrNotAnswer is upstream's body not being a JSON object.
var ErrNotAnswer = errors.New("upstream's answer is not a JSON object")

// Text receives what a model wrote: content, reasoning_content and the names
// and arguments of tool calls, of one of a call's choices by its index. The
// bytes are only valid during the call.
type Text func(choice int64, text []byte)

// Answer is what an unstreamed answer says of itself.
type Answer struct {
	// Usage is what the call took; believe it only if Report is UsageTold.
	Usage  Usage
	Report Report
	// Failed is whether the body holds an error in spite of its status.
	Failed bool

	body []byte
}

// ReadAnswer walks the body of an unstreamed answer. Its error is
// ErrNotAnswer.
func ReadAnswer(body []byte) (*Answer, error) {
	p := payload{scanner: scanner{data: body}}
	if p.read() != nil {
		return nil, ErrNotAnswer
	}
	return &Answer{p.usage, p.report, p.failed, body}, nil
}

// EachText gives the answer's text, to count when its usage is missing.
func (a *Answer) EachText(text Text) {
	p := payload{scanner: scanner{data: a.body}, text: text}
	_ = p.read() // the same walk went well before
}

// payload reads one JSON object from upstream: an answer, or an event's data.
type payload struct {
	scanner
	text    Text
	scratch []byte // holds unescaped text

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
			p.failed = !p.null()
			if !p.failed {
				return nil
			}
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
		case "delta", "message":
			message = p.pos
		case "index":
			index, _, err = p.tokens()
			return err
		case "finish_reason":
			p.finished = p.finished || p.space() == '"'
		}
		return p.skip()
	})
	if err != nil || message == unknown {
		return err
	}
	end := p.pos
	p.pos = message
	err = p.message(max(0, index))
	p.pos = end
	return err
}

// message reads a message or a part of it.
func (p *payload) message(choice int64) error {
	if p.space() != '{' {
		return p.skip()
	}
	return p.object(func(key []byte) error {
		switch string(key) {
		case "content", "reasoning_content", "refusal":
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
			if string(key) == "function" {
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
		if string(key) == "name" || string(key) == "arguments" {
			return p.write(choice)
		}
		return p.skip()
	})
}

// write hands on a string's value. Anything else is no text.
func (p *payload) write(choice int64) error {
	if p.space() != '"' {
		return p.skip()
	}
	raw, escaped, err := p.string()
	if err != nil || len(raw) == 0 {
		return err
	}
	p.written = true
	if p.text == nil {
		return nil
	}
	if escaped {
		p.scratch = unescape(p.scratch[:0], raw)
		raw = p.scratch
	}
	p.text(choice, raw)
	return nil
}
