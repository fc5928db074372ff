package fakemodel

import (
	"crypto/rand"
	"encoding/json"
)

// events sends the response's events. Only the last has usage, and nothing follows it.
func (f *responseFormat) events(s *stream) {
	f.event(s, "response.created", "response", f.object("in_progress", nil, nil))
	f.event(s, "response.in_progress", "response", f.object("in_progress", nil, nil))
	if s.behaviour.Novelty {
		f.event(s, "response.novelty.delta", "delta", "new")
	}
	for i, item := range f.items() {
		f.event(s, "response.output_item.added", "output_index", i, "item", item.begun)
		switch item.kind {
		case "reasoning":
			f.summaryEvents(s, i, item.id)
		case "message":
			f.textEvents(s, i, item.id)
		case "function_call":
			f.callEvents(s, i, item.id)
		}
		f.event(s, "response.output_item.done", "output_index", i, "item", item.done)
	}
	if !s.over {
		f.keep()
	}
	f.event(s, "response."+f.status(), "response", f.ended())
}

// failure sends the failed response, which has no usage.
func (f *responseFormat) failure(s *stream) {
	f.event(s, "response.failed", "response", f.failed())
}

// event sends an event with its number. It reports false if it wasn't sent.
func (f *responseFormat) event(s *stream, kind string, pairs ...any) bool {
	sent := s.write(kind, object(append([]any{"type", kind, "sequence_number", f.sequence}, pairs...)...))
	f.sequence++
	return sent
}

// delta sends a piece of text, with padding that hides its size unless the caller
// refused it.
func (f *responseFormat) delta(s *stream, kind string, pairs ...any) bool {
	if refused := f.request.StreamOptions.Obfuscation; refused == nil || *refused {
		pairs = append(pairs, "obfuscation", rand.Text()[:8])
	}
	return f.event(s, kind, pairs...)
}

func (f *responseFormat) summaryEvents(s *stream, index int, id string) {
	if len(f.summary()) == 0 {
		return
	}
	at := []any{"item_id", id, "output_index", index, "summary_index", 0}
	with := func(pairs ...any) []any { return append(append([]any{}, at...), pairs...) }
	f.event(s, "response.reasoning_summary_part.added", with("part", object("type", "summary_text", "text", ""))...)
	f.delta(s, "response.reasoning_summary_text.delta", with("delta", thoughtSummary)...)
	f.event(s, "response.reasoning_summary_text.done", with("text", thoughtSummary)...)
	f.event(s, "response.reasoning_summary_part.done", with("part", object("type", "summary_text", "text", thoughtSummary))...)
}

func (f *responseFormat) textEvents(s *stream, index int, id string) {
	at := []any{"item_id", id, "output_index", index, "content_index", 0}
	with := func(pairs ...any) []any { return append(append([]any{}, at...), pairs...) }
	part := func(text string) json.RawMessage {
		return object("type", "output_text", "annotations", []string{}, "logprobs", []string{}, "text", text)
	}
	f.event(s, "response.content_part.added", with("part", part(""))...)
	for _, token := range f.written {
		s.bill(1, f.delta(s, "response.output_text.delta", with("delta", token.text, "logprobs", []string{})...))
	}
	f.event(s, "response.output_text.done", with("text", f.text(), "logprobs", []string{})...)
	f.event(s, "response.content_part.done", with("part", part(f.text()))...)
}

func (f *responseFormat) callEvents(s *stream, index int, id string) {
	first, second := f.call.halves()
	for i, piece := range []string{first, second} {
		s.bill(f.call.part(2*i), f.delta(s, "response.function_call_arguments.delta", "item_id", id, "output_index", index, "delta", piece))
	}
	f.event(s, "response.function_call_arguments.done", "item_id", id, "output_index", index, "arguments", f.call.arguments)
}
