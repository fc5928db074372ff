// Package tokens counts the tokens of a prompt before it is sent, and of an answer
// whose usage upstream doesn't report.
//
// DeepSeek-R1 is counted exactly, with DeepSeek's own vocabulary, splits and special
// tokens and R1's chat template. Other models are counted with the nearest encoding, so
// that their counts are estimates until usage arrives. So are the counts of those of R1's
// chats whose rendering isn't published: tool calls, tool results and empty content are
// rendered by DeepSeek-V3's template; the texts of a content's parts are joined; an image
// counts as ImageTokens; name is ignored; a developer's text is read as the system's;
// other roles are ignored; and tool definitions count as their JSON.
//
// Each byte of a text that isn't UTF-8 is read as U+FFFD, and so is half of a
// surrogate pair in a JSON escape. Counting takes time linear in the text, whatever
// the text, and allocates nothing once its buffers have grown.
//
// Start reading at [ForModel] and [Encoding.CountChat]. A text is cut into pieces by
// package split, and the tokens of a piece are counted by package bpe.
package tokens

import (
	"sync"
	"sync/atomic"
	"unicode/utf8"
	"unsafe"

	"tollgate/handler/tokens/internal/bpe"
)

// ImageTokens is the assumed cost of an image in a chat, in tokens.
const ImageTokens = 1200

// Encoding counts the tokens of one family of models. Its tables are loaded by the
// first count, or before that by Load.
type Encoding struct {
	tables   *tables
	template template
	exact    bool
	known    bool
}

// Exact reports whether counts of text and plain chats are exact, rather than
// estimates.
func (e *Encoding) Exact() bool { return e.exact }

// Known reports whether the model's family is known. If not, counts are guesses.
func (e *Encoding) Known() bool { return e.known }

// OpenAI reports whether the encoding is one of OpenAI's.
func (e *Encoding) OpenAI() bool { return e.tables != deepseek }

// Name returns the encoding's name, for logs.
func (e *Encoding) Name() string { return e.tables.name }

// Load loads the encoding's tables, to spare the first count the time.
func (e *Encoding) Load() { e.tables.get() }

// Loaded reports whether the encoding's tables are loaded, so that a count needn't wait
// for them.
func (e *Encoding) Loaded() bool { return e.tables.loaded.Load() }

// Count returns the number of tokens of a text.
func (e *Encoding) Count(text string) int {
	return e.CountText(unsafe.Slice(unsafe.StringData(text), len(text)))
}

// CountText is Count for a byte slice.
func (e *Encoding) CountText(text []byte) int {
	t := e.tables.get()
	w := t.borrow()
	defer t.release(w)
	return t.count(text, w)
}

// CountOrdinary returns the number of tokens of a text for a model that reads special
// tokens as ordinary text. It is never below Count, as the text of a special token has
// several ordinary ones.
func (e *Encoding) CountOrdinary(text []byte) int {
	t := e.tables.get()
	w := t.borrow()
	defer t.release(w)
	if !utf8.Valid(text) {
		w.valid = appendValid(w.valid[:0], text)
		text = w.valid
	}
	return t.ordinary(text, w)
}

// Steps returns the number of look-ups that counting a text takes if the counts of no
// pieces are cached. The time of a count is at most proportional to it.
func (e *Encoding) Steps(text string) int {
	t := e.tables.get()
	var scratch bpe.Scratch
	bytes := []byte(text)
	for at := 0; at < len(bytes); scratch.Steps++ {
		end := t.splitter.Next(bytes, at)
		t.vocabulary.Count(bytes[at:end], &scratch)
		at = end
	}
	return scratch.Steps
}

// splitter cuts text into pieces. Next returns the end of the piece that begins at at.
type splitter interface {
	Next(text []byte, at int) int
}

// tables holds an encoding's vocabulary and splits, loaded once.
type tables struct {
	name   string
	load   func(*tables)
	once   sync.Once
	loaded atomic.Bool
	pool   sync.Pool

	vocabulary *bpe.Vocabulary
	splitter   splitter
	specials   specials
}

func (t *tables) get() *tables {
	t.once.Do(func() {
		t.load(t)
		t.loaded.Store(true)
	})
	return t
}

// workspace holds the buffers of one count.
type workspace struct {
	scratch  bpe.Scratch
	text     []byte // a chat as the model reads it
	valid    []byte // text made UTF-8
	messages []message
}

func (t *tables) borrow() *workspace {
	if w, ok := t.pool.Get().(*workspace); ok {
		return w
	}
	return new(workspace)
}

const (
	// maxKeptBytes and maxKeptMessages are the largest buffers that are kept for the
	// next count, so that one long prompt doesn't occupy memory forever.
	maxKeptBytes    = 64 << 10
	maxKeptMessages = 256
)

// release returns a workspace to the pool, without references to the prompt.
func (t *tables) release(w *workspace) {
	w.text, w.valid = reusable(w.text), reusable(w.valid)
	if cap(w.messages) > maxKeptMessages {
		w.messages = nil
	}
	clear(w.messages)
	w.scratch.Shrink(maxKeptBytes)
	t.pool.Put(w)
}

// reusable returns the buffer, or nil if it is too large to be kept.
func reusable(buffer []byte) []byte {
	if cap(buffer) > maxKeptBytes {
		return nil
	}
	return buffer
}

// count returns the number of tokens of a text, including special tokens.
func (t *tables) count(text []byte, w *workspace) (tokens int) {
	if !utf8.Valid(text) {
		w.valid = appendValid(w.valid[:0], text)
		text = w.valid
	}
	for len(text) > 0 {
		start, end := t.specials.find(text)
		tokens += t.ordinary(text[:start], w)
		if end > start {
			tokens++
		}
		text = text[end:]
	}
	return tokens
}

// ordinary returns the number of tokens of a text without special tokens.
func (t *tables) ordinary(text []byte, w *workspace) (tokens int) {
	for at := 0; at < len(text); {
		end := t.splitter.Next(text, at)
		tokens += t.vocabulary.CountWithin(text, at, end, &w.scratch)
		at = end
	}
	return tokens
}

// appendValid appends text with each byte that isn't UTF-8 replaced by U+FFFD.
func appendValid(to, text []byte) []byte {
	for len(text) > 0 {
		char, size := utf8.DecodeRune(text)
		to = utf8.AppendRune(to, char)
		text = text[size:]
	}
	return to
}
