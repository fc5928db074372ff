package response

import (
	"tollgate/handler/jsonscan"
	"tollgate/handler/limit"
	"tollgate/handler/operation"
	"tollgate/handler/operation/lax"
	"tollgate/handler/operation/sse"
)

// read is operation.Operation's Read. A body is an answer if it is a response, whatever
// its status, or an error.
func read(body []byte, text operation.Text) operation.Answer {
	p := payload{Scanner: jsonscan.New(body, lax.Options), text: text}
	p.Literal(sse.ByteOrderMark)
	err := p.response()
	if err == nil && !p.AtEnd() {
		err = jsonscan.ErrSyntax
	}
	failed := p.failed && !p.written
	return operation.Answer{
		Usage: p.usage, Report: p.trusted(), ID: p.id, Failed: failed, Written: p.written, Unread: err != nil,
		IsAnswer: p.listed || failed || p.status != "",
	}
}

// payload reads a response from upstream: an answer, or the data of an event. The JSON may
// break off anywhere, and is read up to there.
type payload struct {
	jsonscan.Scanner
	text    operation.Text
	scratch []byte // holds unescaped text

	id, status string
	usage      limit.Usage
	report     operation.Report
	listed     bool // output is a list
	written    bool // it holds text that the model wrote
	failed     bool // it holds an error
}

// trusted returns the report on the usage. Usage without a completion can't be true if
// the model has written text.
func (p *payload) trusted() operation.Report {
	if p.report == operation.UsageGood && p.written && p.usage.CompletionTokens == 0 {
		return operation.UsageBad
	}
	return p.report
}

// response reads a response.
func (p *payload) response() error {
	if p.Peek() != '{' {
		return p.Skip()
	}
	return p.Object(func(key []byte) (err error) {
		switch string(key) {
		case "id":
			p.id, err = p.string()
		case "status":
			p.status, err = p.string()
		case "output":
			err = p.output()
		case "usage":
			p.usage, p.report, err = lax.ResponseUsage(&p.Scanner)
		case "error":
			var found bool
			found, err = lax.NonEmpty(&p.Scanner)
			p.failed = p.failed || found && err == nil
		default:
			err = p.Skip()
		}
		return err
	})
}

// maxShort is the longest id, type or status that is read, in bytes.
const maxShort = 256

// string reads a short string; anything else is empty.
func (p *payload) string() (string, error) {
	if p.Peek() != '"' {
		return "", p.Skip()
	}
	raw, escaped, err := p.String()
	if err != nil || len(raw) > maxShort {
		return "", err
	}
	if escaped {
		raw = jsonscan.AppendUnescaped(nil, raw)
	}
	return string(raw), nil
}

// output reads the items of the output.
func (p *payload) output() error {
	if p.Peek() != '[' {
		return p.Skip()
	}
	p.listed = true
	return p.Array(func(int) error { return p.item() })
}

// item reads an item of the output: a message with its texts, a call of a tool, or
// reasoning. It skips the summary of the reasoning: only the reasoning itself is billed.
func (p *payload) item() error {
	if p.Peek() != '{' {
		return p.Skip()
	}
	return p.Object(func(key []byte) error {
		switch string(key) {
		case "content":
			return p.content()
		case "arguments", "input", "code":
			return p.emit()
		}
		return p.Skip()
	})
}

// content reads the parts of a message or reasoning.
func (p *payload) content() error {
	if p.Peek() != '[' {
		return p.emit()
	}
	return p.Array(func(int) error {
		if p.Peek() != '{' {
			return p.Skip()
		}
		return p.Object(func(key []byte) error {
			switch string(key) {
			case "text", "refusal", "transcript":
				return p.emit()
			}
			return p.Skip()
		})
	})
}

// emit passes a string to p.text. Other values aren't text.
func (p *payload) emit() error {
	if p.Peek() != '"' {
		return p.Skip()
	}
	text, scratch, err := lax.Text(&p.Scanner, p.scratch)
	p.scratch = scratch
	if len(text) == 0 {
		return err
	}
	p.written = true
	if p.text != nil {
		p.text(0, text)
	}
	return err
}
