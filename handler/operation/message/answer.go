package message

import (
	"bytes"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
	"tollgate/handler/operation/lax"
	"tollgate/handler/operation/sse"
)

// read reads the body of an answer that isn't streamed. It is an answer if it is a message
// or an error.
func read(body []byte, text operation.Text) operation.Answer {
	p := payload{Scanner: jsonscan.New(body, lax.Options), text: text}
	err := p.read()
	a := operation.Answer{Written: p.written, Failed: p.failed && !p.written, Unread: err != nil}
	a.IsAnswer = p.isMessage || a.Failed
	if a.Usage, a.Report = p.usage.usage(), p.report; a.Report == operation.UsageGood {
		a.Report = p.usage.report(a.Written)
	}
	return a
}

// payload reads JSON from upstream: a message, or an event's data. The JSON may break off
// anywhere, and is read up to there.
type payload struct {
	jsonscan.Scanner
	text    operation.Text
	scratch []byte // holds unescaped text

	kind      string // type of the event or object
	isMessage bool   // it is a message, or has one
	usage     counts
	report    operation.Report
	stopped   bool // it has a stop_reason
	written   bool // it has text
	failed    bool // it has an error
}

// read reads the one object of the data.
func (p *payload) read() error {
	p.usage = noCounts
	p.Literal(sse.ByteOrderMark)
	if p.Peek() != '{' {
		return p.Skip()
	}
	return p.object()
}

// object reads a message, or an event around a message, a delta or a block.
func (p *payload) object() error {
	return p.Object(func(key []byte) error {
		switch string(key) {
		case "type":
			return p.readKind()
		case "message", "delta":
			if p.Peek() != '{' {
				return p.Skip()
			}
			p.isMessage = p.isMessage || string(key) == "message"
			kind := p.kind
			err := p.object()
			p.kind = kind
			return err
		case "content_block":
			return p.block()
		case "usage":
			return p.readUsage()
		case "stop_reason":
			p.stopped = p.Peek() == '"'
			return p.Skip()
		case "error":
			p.failed = p.Peek() == '{' || p.Peek() == '"'
			return p.Skip()
		case "content":
			return p.eachBlock()
		}
		return p.blockField(key)
	})
}

// readKind consumes a type.
func (p *payload) readKind() error {
	value, err := p.Value()
	p.kind = string(bytes.Trim(value, `"`))
	p.isMessage = p.isMessage || p.kind == "message"
	p.failed = p.failed || p.kind == "error"
	return err
}

func (p *payload) readUsage() (err error) {
	if p.Peek() != '{' {
		if p.report = operation.UsageBad; p.Literal("null") {
			p.report = operation.UsageNull
			return nil
		}
		return p.Skip()
	}
	good := false
	if p.usage, good, err = readCounts(&p.Scanner); good {
		p.report = operation.UsageGood
	} else {
		p.report = operation.UsageBad
	}
	return err
}

func (p *payload) eachBlock() error {
	if p.Peek() != '[' {
		return p.Skip()
	}
	return p.Array(func(int) error { return p.block() })
}

func (p *payload) block() error {
	if p.Peek() != '{' {
		return p.Skip()
	}
	return p.Object(p.blockField)
}

// blockField reads a field of a content block or of its delta. A model writes text,
// thinking, and the name and input of a tool that it uses.
func (p *payload) blockField(key []byte) error {
	switch string(key) {
	case "text", "thinking", "partial_json", "name":
		return p.emit()
	case "input":
		value, err := p.Value()
		if len(value) > len("{}") { // an empty input is no text
			p.pass(value)
		}
		return err
	}
	return p.Skip()
}

// emit passes a string to p.text.
func (p *payload) emit() error {
	if p.Peek() != '"' {
		return p.Skip()
	}
	text, scratch, err := lax.Text(&p.Scanner, p.scratch)
	p.scratch = scratch
	p.pass(text)
	return err
}

func (p *payload) pass(text []byte) {
	if len(text) == 0 {
		return
	}
	p.written = true
	if p.text != nil {
		p.text(0, text)
	}
}
