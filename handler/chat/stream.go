package chat

import (
	"bytes"
	"encoding/json"
)

// Meter reads a stream of chat completion events, one event at a time, for
// what it costs. The zero value is ready.
type Meter struct {
	// Text is told each piece of generated text as it comes. It may be nil.
	Text func(string)
	// HideUsage has Event ask for the usage chunk to be left out, because the
	// gateway asked for it and the caller did not.
	HideUsage bool

	usage  Usage
	known  bool
	failed bool
	done   bool
}

// Usage is the last usage that the stream told, and whether it told any.
func (m *Meter) Usage() (usage Usage, known bool) { return m.usage, m.known }

// Done says that the stream came to its [DONE].
func (m *Meter) Done() bool { return m.done }

// Failed says that the stream carried an error in place of a chunk.
func (m *Meter) Failed() bool { return m.failed }

var (
	dataField = []byte("data:")
	doneMark  = []byte("[DONE]")
)

// Event reads one event as it came, its blank line included, and says whether
// the caller is to get it. What it doesn't understand is relayed.
func (m *Meter) Event(event []byte) (relay bool) {
	data := eventData(event)
	if len(data) == 0 {
		return true
	}
	if bytes.Equal(data, doneMark) {
		m.done = true
		return true
	}
	var chunk answer
	if json.Unmarshal(data, &chunk) != nil {
		return true
	}
	if len(chunk.Error) > 0 && !bytes.Equal(chunk.Error, []byte("null")) {
		m.failed = true
	}
	if usage, known := chunk.Usage.usage(); known {
		m.usage, m.known = usage, true
		if m.HideUsage && len(chunk.Choices) == 0 {
			return false
		}
	}
	if m.Text != nil {
		chunk.each(m.Text)
	}
	return true
}

// eventData is an event's data: one line's in place, or several joined by
// newlines, as the format has it.
// Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
func eventData(event []byte) []byte {
	var data, joined []byte
	for lines := 0; len(event) > 0; {
		line := event
		if end := bytes.IndexAny(event, "\r\n"); end >= 0 {
			line, event = event[:end], event[end+1:]
		} else {
			event = nil
		}
		value, ok := bytes.CutPrefix(line, dataField)
		if !ok {
			continue
		}
		value = bytes.TrimPrefix(value, []byte(" "))
		switch lines++; lines {
		case 1:
			data = value
		case 2:
			joined = append(append(append(make([]byte, 0, len(data)+len(event)), data...), '\n'), value...)
			data = joined
		default:
			joined = append(append(joined, '\n'), value...)
			data = joined
		}
	}
	return bytes.TrimSpace(data)
}
