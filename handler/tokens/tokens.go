// Package tokens counts what a prompt costs before it is sent, and what an
// answer took where the model doesn't say.
//
// DeepSeek-R1 is counted exactly: with DeepSeek's own vocabulary, splits and
// special tokens, in R1's chat template. Other models are counted with the
// nearest encoding there is, and usage corrects the count. So it does for these
// shapes of R1's chats, whose rendering is not published for R1 itself: tool
// calls, tool results and empty content are rendered as by DeepSeek-V3's
// template; the texts of content's parts are joined; an image counts as
// ImageTokens; name is not rendered; a developer's text is read as the system's;
// other roles are not rendered; and tool definitions count as their JSON.
//
// Text is read as UTF-8, each byte that isn't as U+FFFD, and so is half of a
// surrogate pair in a JSON escape. Counting takes time linear in the text,
// whatever the text, and allocates nothing once its buffers have grown.
package tokens

import (
	"sync"
	"unicode/utf8"
	"unsafe"

	"tollgate/handler/tokens/internal/bpe"
)

// ImageTokens is what an image in a chat is taken to cost, in tokens.
const ImageTokens = 1200

// Encoding counts for one family of models. The tables behind it are loaded by
// its first count, or before by Load.
type Encoding struct {
	tables   *tables
	template template
	exact    bool
	known    bool
}

// Exact says whether counts of text and plain chats are the model's own; else
// they are estimates.
func (e *Encoding) Exact() bool { return e.exact }

// Known says whether the model's family is known; else counts are a guess.
func (e *Encoding) Known() bool { return e.known }

// OpenAI says whether the encoding is one of OpenAI's own.
func (e *Encoding) OpenAI() bool { return e.tables != deepseek }

// Name names the encoding, for a log.
func (e *Encoding) Name() string { return e.tables.name }

// Load loads the encoding's tables, so that the first count need not.
func (e *Encoding) Load() { e.tables.get() }

// Count is how many tokens a text has.
func (e *Encoding) Count(text string) int {
	return e.CountText(unsafe.Slice(unsafe.StringData(text), len(text)))
}

// CountText is Count of a text in bytes.
func (e *Encoding) CountText(text []byte) int {
	t := e.tables.get()
	w := t.borrow()
	defer t.giveBack(w)
	return t.count(text, w)
}

// CountOrdinary is how many tokens a text has for a model that takes none of it
// for a special token. It is no less than Count: a special token spelt out has
// several ordinary ones.
func (e *Encoding) CountOrdinary(text []byte) int {
	t := e.tables.get()
	w := t.borrow()
	defer t.giveBack(w)
	if !utf8.Valid(text) {
		w.valid = appendValid(w.valid[:0], text)
		text = w.valid
	}
	return t.ordinary(text, w)
}

// Steps is how many look-ups counting a text takes at most, where nothing is
// remembered of others: its time is proportional to that.
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

// splitter says where the piece ends that begins at a place of a text.
type splitter interface {
	Next(text []byte, at int) int
}

// tables are an encoding's vocabulary and splits, loaded once.
type tables struct {
	name string
	load func(*tables)
	once sync.Once
	pool sync.Pool

	vocabulary *bpe.Vocabulary
	splitter   splitter
	specials   specials
}

func (t *tables) get() *tables {
	t.once.Do(func() { t.load(t) })
	return t
}

// work is what one count at a time works with.
type work struct {
	scratch  bpe.Scratch
	text     []byte // a chat as the model reads it
	valid    []byte // text made UTF-8
	messages []message
}

func (t *tables) borrow() *work {
	if w, ok := t.pool.Get().(*work); ok {
		return w
	}
	return new(work)
}

const (
	// keptBytes and keptMessages bound the buffers of a work that is kept for the
	// next count: what one long prompt needed is let go.
	keptBytes    = 64 << 10
	keptMessages = 256
)

// giveBack keeps a work for the next count. It refers to nothing of this one's
// prompt.
func (t *tables) giveBack(w *work) {
	w.text, w.valid = small(w.text), small(w.valid)
	if cap(w.messages) > keptMessages {
		w.messages = nil
	}
	clear(w.messages)
	w.scratch.Shrink(keptBytes)
	t.pool.Put(w)
}

// small is the buffer if it may be kept, else nil.
func small(buffer []byte) []byte {
	if cap(buffer) > keptBytes {
		return nil
	}
	return buffer
}

// count is how many tokens a text has, special ones included.
func (t *tables) count(text []byte, w *work) (tokens int) {
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

// ordinary is how many tokens a text without special ones has.
func (t *tables) ordinary(text []byte, w *work) (tokens int) {
	for at := 0; at < len(text); {
		end := t.splitter.Next(text, at)
		tokens += t.vocabulary.CountWithin(text, at, end, &w.scratch)
		at = end
	}
	return tokens
}

// appendValid adds text with each byte that is no UTF-8 as U+FFFD.
func appendValid(to, text []byte) []byte {
	for len(text) > 0 {
		char, size := utf8.DecodeRune(text)
		to = utf8.AppendRune(to, char)
		text = text[size:]
	}
	return to
}
