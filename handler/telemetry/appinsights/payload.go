package appinsights

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/microsoft/ApplicationInsights-Go/appinsights/contracts"
)

// batchItems is the most items in one request. At about 1 KB each they stay well below
// the service's limit for a request.
const batchItems = 500

// A payload is a batch of items in the wire format.
type payload struct {
	packed []byte // gzip of JSON objects, one a line
	items  int
	at     time.Time // the first item's time: the start of its interval

	// For a payload that was not accepted.
	failed   bool
	accepted int64     // number of requests that the service had accepted when it failed
	blamed   int       // number of times that it failed while the service accepted others
	retryAt  time.Time // when to send it again; earlier if the service accepts another
}

// A packer builds a payload.
type packer struct {
	packed bytes.Buffer
	gzip   *gzip.Writer
	items  int
	at     time.Time
}

func newPacker(at time.Time) *packer {
	p := &packer{at: at}
	p.gzip = gzip.NewWriter(&p.packed)
	return p
}

func (p *packer) line(line []byte) {
	_, _ = p.gzip.Write(line) // writes to memory don't fail
	_, _ = p.gzip.Write([]byte{'\n'})
	p.items++
}

func (p *packer) payload() payload {
	_ = p.gzip.Close()
	return payload{packed: p.packed.Bytes(), items: p.items, at: p.at}
}

// pack makes payloads of up to batchItems items. It skips items that JSON can't
// express, and returns their number as unfit.
func pack(items []item) (payloads []payload, unfit int) {
	var current *packer
	for _, item := range items {
		line, err := json.Marshal(item.envelope)
		if err != nil {
			unfit++
			continue
		}
		if current == nil {
			current = newPacker(item.at)
		}
		current.line(line)
		if current.items == batchItems {
			payloads, current = append(payloads, current.payload()), nil
		}
	}
	if current != nil {
		payloads = append(payloads, current.payload())
	}
	return payloads, unfit
}

// An item is an envelope and the time of its data.
type item struct {
	envelope *contracts.Envelope
	at       time.Time
}

// lines returns the payload's items as JSON.
func (p payload) lines() ([][]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(p.packed))
	if err != nil {
		return nil, fmt.Errorf("unpack a batch: %w", err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		return nil, fmt.Errorf("unpack a batch: %w", err)
	}
	return bytes.Split(bytes.TrimSuffix(plain, []byte{'\n'}), []byte{'\n'}), nil
}

// part makes a payload of some of p's lines, with p's history of failures.
func (p payload) part(lines [][]byte) payload {
	packer := newPacker(p.at)
	for _, line := range lines {
		packer.line(line)
	}
	part := packer.payload()
	part.failed, part.accepted, part.blamed, part.retryAt = p.failed, p.accepted, p.blamed, p.retryAt
	return part
}

// halves splits a payload of several items.
func (p payload) halves() ([]payload, error) {
	lines, err := p.lines()
	if err != nil {
		return nil, err
	}
	p.blamed = 0 // either half may be at fault
	middle := len(lines) / 2
	return []payload{p.part(lines[:middle]), p.part(lines[middle:])}, nil
}
