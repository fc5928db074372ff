package chat

import (
	"bytes"

	"tollgate/handler/jsonscan"
	"tollgate/handler/limit"
	"tollgate/handler/operation"
	"tollgate/handler/operation/lax"
	"tollgate/handler/operation/sse"
)

// ReadAnswer reads the body of an unstreamed answer: it is operation.Operation's Read. A
// body is an answer if it holds a choice, an empty list of choices with usage, or an
// error.
func ReadAnswer(body []byte, text operation.Text) operation.Answer {
	p := payload{Scanner: jsonscan.New(body, lax.Options), text: text}
	err := p.read()
	var each choices
	each.add(p.choices)
	if usage, known := each.usage(); known && p.report != operation.UsageGood {
		p.usage, p.report = usage, operation.UsageGood
	}
	if p.report == operation.UsageGood && p.written && p.usage.CompletionTokens == 0 {
		p.report = operation.UsageBad
	}
	failed := p.failed && !p.written
	return operation.Answer{
		Usage: p.usage, Report: p.report, Failed: failed, Written: p.written, Unread: err != nil,
		IsAnswer: len(p.choices) > 0 || failed || p.listed && p.report == operation.UsageGood,
	}
}

// payload reads JSON from upstream: an answer, or an event's data. The JSON may break
// off anywhere, and is read up to there.
type payload struct {
	jsonscan.Scanner
	text    operation.Text
	scratch []byte // holds unescaped text

	usage   limit.Usage
	report  operation.Report
	choices []choiceState
	listed  bool // choices is a list
	written bool // it holds text
	failed  bool // it holds an error

	texts      int   // strings of text passed on
	textAt     int   // where the last of them begins, after its quote, in the data
	textEnd    int   // where it ends, before its quote
	textChoice int64 // the choice that it is of
}

// choiceState is the state of one choice.
type choiceState struct {
	index    int64
	written  bool // it has text
	finished bool // it has a finish_reason
	usage    limit.Usage
	report   operation.Report
}

// read reads all objects of the data. There is usually one, but some servers send
// several, in lines or in an array. Whatever comes before a syntax error counts.
func (p *payload) read() error {
	for {
		p.Literal(sse.ByteOrderMark)
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
			usage, report, err := lax.Usage(&p.Scanner)
			if report >= p.report {
				p.usage, p.report = usage, report
			}
			return err
		case "error":
			found, err := lax.NonEmpty(&p.Scanner)
			p.failed = p.failed || found && err == nil
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

// choice reads one choice. It reads the text last, as the index may come after it.
func (p *payload) choice() error {
	var one choiceState
	var written jsonscan.Scanner // a bookmark at what the model wrote
	var in form                  // the form of what it wrote
	err := p.Object(func(key []byte) (err error) {
		switch string(key) {
		case "delta", "message": // some servers send both, one of them null
			if p.Peek() == '{' {
				written, in = p.Scanner, inMessage
			}
		case "text": // of a completion, which has no message
			if p.Peek() == '"' && in == nothing {
				written, in = p.Scanner, asText
			}
		case "index":
			one.index, _, err = lax.Tokens(&p.Scanner)
			return err
		case "finish_reason":
			one.finished, err = p.reason()
			return err
		case "usage":
			one.usage, one.report, err = lax.Usage(&p.Scanner)
			return err
		}
		return p.Skip()
	})
	one.index = max(0, one.index)
	one.finished = one.finished && err == nil
	if in != nothing {
		end, before := p.Scanner, p.written
		p.Scanner, p.written = written, false
		if fault := p.readText(in, one.index); err == nil {
			err = fault
		}
		one.written = p.written
		p.Scanner, p.written = end, before || p.written
	}
	p.choices = append(p.choices, one)
	return err
}

// A form is the form in which a choice holds what the model wrote: a message or its
// delta, or a text.
type form int

const (
	nothing form = iota
	inMessage
	asText
)

// readText reads what the model wrote.
func (p *payload) readText(in form, choice int64) error {
	if in == inMessage {
		return p.message(choice)
	}
	return p.emit(choice)
}

// reason consumes a finish_reason and reports whether it names a reason.
func (p *payload) reason() (finished bool, err error) {
	if p.Peek() != '"' {
		return false, p.Skip()
	}
	raw, escaped, err := p.String()
	return err == nil && !lax.IsNone(raw, escaped), err
}

// message reads a message, or the delta of one. Some servers send the same reasoning
// under both of its names, so only the first counts.
func (p *payload) message(choice int64) error {
	reasoned := false
	return p.Object(func(key []byte) error {
		switch string(key) {
		case "reasoning_content", "reasoning":
			if reasoned {
				return p.Skip()
			}
			reasoned = p.Peek() == '"' && !bytes.HasPrefix(p.Rest(), []byte(`""`))
			return p.emit(choice)
		case "content", "refusal":
			return p.emit(choice)
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
			return p.emit(choice)
		}
		return p.Skip()
	})
}

// part reads one part of content that comes in parts, as from Mistral's models: text,
// or thinking with parts of its own.
func (p *payload) part(choice int64) error {
	if p.Peek() != '{' {
		return p.Skip()
	}
	return p.Object(func(key []byte) error {
		if string(key) == "text" || string(key) == "thinking" {
			return p.emit(choice)
		}
		return p.Skip()
	})
}

// emit passes a string, or the text of content's parts, to p.text. Other values
// aren't text.
func (p *payload) emit(choice int64) error {
	switch p.Peek() {
	case '"':
		return p.emitString(choice)
	case '[':
		return p.Array(func(int) error { return p.part(choice) })
	}
	return p.Skip()
}

// emitString passes a string to p.text.
func (p *payload) emitString(choice int64) error {
	start := p.Pos() + 1
	text, scratch, err := lax.Text(&p.Scanner, p.scratch)
	p.scratch = scratch
	if len(text) == 0 {
		return err
	}
	p.written = true
	p.texts, p.textAt, p.textEnd, p.textChoice = p.texts+1, start, p.Pos()-1, choice
	if p.text != nil {
		p.text(choice, text)
	}
	return err
}
