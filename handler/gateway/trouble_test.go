package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"tollgate/handler/gateway"
	"tollgate/handler/limit"
	"tollgate/handler/operation/chat"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/tokens"
	"tollgate/handler/upstream"
)

// record has the fields of a call's log line that these tests read.
type record struct {
	Status     int
	Outcome    string
	Stream     *bool // nil if the call is no chat completion
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
}

// lines receives a gateway's log line by line.
type lines chan []byte

func (l lines) Write(line []byte) (int, error) {
	l <- bytes.Clone(line)
	return len(line), nil
}

// call waits for the next call's line.
func (l lines) call(t *testing.T) (r record) {
	t.Helper()
	for {
		select {
		case line := <-l:
			if !bytes.Contains(line, []byte(`"msg":"call"`)) {
				continue
			}
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatalf("log line %s: got %v, want JSON", line, err)
			}
			return r
		case <-time.After(time.Minute):
			t.Fatal("got no log line of a call within a minute, want one")
		}
	}
}

func openLogged(t *testing.T, limits subscriptiontest.Limits, timeouts upstream.Timeouts, model http.HandlerFunc) (*bench, lines) {
	log := make(lines, 100)
	return openWith(t, limits, func(c *gateway.Config) {
		c.TokensComment = true
		c.Log = slog.New(slog.NewJSONHandler(log, nil))
	}, timeouts, model), log
}

// spent returns how much of the quota is used, in tokens. Unlike the minute's limit, the
// quota isn't reset soon after a call.
func (b *bench) spent(t *testing.T) int64 {
	t.Helper()
	var told struct{ Quota struct{ Used int64 } }
	if _, body := b.get(t, "/usage"); json.Unmarshal([]byte(body), &told) != nil {
		t.Fatalf("/usage: got %s, want JSON with the quota's use", body)
	}
	return told.Quota.Used
}

// promptIn returns a body's prompt, and textOf a model's text, in tokens.
func promptIn(t *testing.T, body string) int64 {
	t.Helper()
	r, err := chat.Parse([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	n, err := tokens.ForModel("DeepSeek-R1").CountChat(r.Messages, r.Tools)
	if err != nil || n < 1 {
		t.Fatalf("got %d tokens, %v; want 1 or more", n, err)
	}
	return int64(n)
}

func textOf(text string) int64 {
	count := tokens.ForModel("DeepSeek-R1").Stream()
	count.Write(text)
	return int64(count.Count())
}

// A charge says what a call must cost: the tokens told by the endpoint, or the prompt as
// counted plus either the text that was written or the completion tokens told.
type charge struct {
	told   int64
	prompt bool
	text   string
	more   bool // may cost more: the bound grows with the time the call took
}

func (c charge) tokens(prompt int64) int64 {
	switch {
	case c.prompt && c.text != "":
		return prompt + textOf(c.text)
	case c.prompt:
		return prompt + c.told
	}
	return c.told
}

var (
	nothing  = charge{}
	byUsage  = charge{told: 100}
	byPrompt = charge{prompt: true}
	byCount  = charge{prompt: true, text: written}
)

func orMore(c charge) charge {
	c.more = true
	return c
}

const (
	asked  = `{"model":"DeepSeek-R1","messages":[{"role":"user","content":"What time is it, and why?"}]}`
	stream = `{"stream":true,"model":"DeepSeek-R1","messages":[{"role":"user","content":"What time is it, and why?"}]}`
)

// brief is the timeout for an upstream that hangs. It leaves time for what upstream sends
// before that, on a busy machine too.
const brief = 3 * time.Second

// troubles are faults of upstream, with the answer and charge that must follow.
var troubles = map[string]struct {
	body    string
	model   http.HandlerFunc
	status  int
	part    string // text that the answer must contain
	aborted bool
	outcome string
	cost    charge
}{
	"usage in its own chunk":           {stream, events(thought + said + stopped + told + finished), 200, finished, false, "", byUsage},
	"usage with the finish_reason":     {stream, events(thought + said + together + finished), 200, together, false, "", byUsage},
	"no usage":                         {stream, events(thought + said + stopped + finished), 200, finished, false, "", byCount},
	"usage null":                       {stream, events(thought + said + strings.Replace(stopped, "]}\n", `],"usage":null}`+"\n", 1) + finished), 200, finished, false, "", byCount},
	"no [DONE]":                        {stream, events(thought + said + together), 200, together, false, "", byUsage},
	"a cut mid-event":                  {stream, events(thought+said+`data: {"choi`, cut), 200, said, true, "upstream_broken", orMore(byCount)},
	"a cut between events":             {stream, events(thought+said, cut), 200, said, true, "upstream_broken", byCount},
	"a cut after [DONE]":               {stream, events(thought+said+together+finished, cut), 200, finished, false, "upstream_broken", byUsage},
	"a cut after usage, before [DONE]": {stream, events(thought+said+stopped+told, cut), 200, said, true, "upstream_broken", byUsage},
	"an end mid-answer":                {stream, events(thought + said), 200, said, true, "upstream_broken", byCount},
	"an end mid-event":                 {stream, events(thought + said + `data: {"choi`), 200, said, true, "upstream_broken", orMore(byCount)},
	"an end after an event's text":     {stream, events(thought + strings.TrimSuffix(said, "]}\n\n")), 200, thought, true, "upstream_broken", orMore(byCount)},
	"an end mid-text":                  {stream, events(thought + said[:strings.Index(said, "late")+4]), 200, thought, true, "upstream_broken", charge{prompt: true, text: "Let me think of the hour.It is late", more: true}},
	"a hang mid-stream":                {stream, events(thought+said, hang), 200, said, true, "upstream_silent", byCount},
	"a stream of nothing":              {stream, events(""), 502, "upstream_broken", false, "upstream_broken", nothing},
	"a cut before the first event":     {stream, events("", cut), 502, "upstream_broken", false, "upstream_broken", nothing},
	"an error event at once":           {stream, events(failing), 200, "overloaded", false, "upstream_error", nothing},
	"an error event after some text":   {stream, events(thought + said + failing), 200, "overloaded", false, "upstream_error", byCount},
	"an error event and [DONE]":        {stream, events(failing + finished), 200, "overloaded", false, "upstream_error", nothing},
	"an error event, but usage":        {stream, events(thought + failing + told + finished), 200, "overloaded", false, "upstream_error", byUsage},
	"junk in an event":                 {stream, events("data: {junk\n\n" + said + stopped + finished), 200, "data: {junk\n\n", false, "", charge{prompt: true, text: `It is late "now".`, more: true}},
	"a line of 10 MB, and usage":       {stream, events(long + told + finished), 200, finished, false, "", byUsage},
	"a line of 10 MB, and none":        {stream, events(long + stopped + finished), 200, finished, false, "", charge{prompt: true, text: words, more: true}},
	"gzip in spite of identity":        {stream, zipped("text/event-stream", thought+told), 502, "upstream_junk", false, "upstream_junk", nothing},
	"a hang before headers":            {stream, answer("", hang), 504, "did not begin", false, "upstream_timeout", byPrompt},
	"a hang before the first event":    {stream, events("", hang), 504, "upstream_timeout", false, "upstream_timeout", byPrompt},
	"an answer that isn't streamed":    {stream, answer(answered), 200, answered, false, "", byUsage},
	"a 500, streamed":                  {stream, refusing(500, `{"error":"theirs"}`), 500, `{"error":"theirs"}`, false, "upstream_error", nothing},

	"a stream that isn't called one":           {stream, answer(thought + said + stopped + finished), 200, finished, false, "", byCount},
	"a stream not called one, with usage":      {stream, answer(thought + said + stopped + told + finished), 200, finished, false, "", byUsage},
	"an answer":                                {asked, answer(answered), 200, answered, false, "", byUsage},
	"an answer without usage":                  {asked, answer(strings.Replace(answered, "usage", "tokens", 1)), 200, "tokens", false, "", byCount},
	"an answer with usage that can't be":       {asked, answer(strings.Replace(answered, "75", "-75", 1)), 200, "-75", false, "", byCount},
	"an answer of nothing, without usage":      {asked, answer(silent), 200, silent, false, "", byPrompt},
	"an answer in parts, without usage":        {asked, answer(strings.Replace(strings.Replace(answered, "usage", "tokens", 1), late, inParts, 1)), 200, inParts, false, "", byCount},
	"a stream in parts, without usage":         {stream, events(thought + strings.Replace(said, late, inParts, 1) + stopped + finished), 200, finished, false, "", byCount},
	"usage without the prompt":                 {asked, answer(unprompted.Replace(answered)), 200, "", false, "", charge{prompt: true, told: 75}},
	"usage without the prompt, streamed":       {stream, events(thought + unprompted.Replace(together) + finished), 200, "", false, "", charge{prompt: true, told: 75}},
	"a field for errors that says none":        {stream, events(strings.Replace(thought, "{", `{"error":"",`, 1) + said + together + finished), 200, finished, false, "", byUsage},
	"an answer that is an error":               {asked, answer(`{"error":{"message":"overloaded"}}`), 200, "overloaded", false, "upstream_error", nothing},
	"an answer cut off":                        {asked, answer(answered[:strings.Index(answered, "late")+4], cut), 502, "upstream_broken", false, "upstream_broken", charge{prompt: true, text: "Let me think of the hour.It is late", more: true}},
	"an answer beyond all measure":             {asked, answer(strings.Repeat(" ", upstream.MaxBody+1)), 502, "upstream_junk", false, "upstream_junk", nothing},
	"an answer beyond all measure, with text":  {asked, answer(strings.Replace(answered, "usage", "x", 1) + strings.Repeat(" ", upstream.MaxBody)), 502, "upstream_junk", false, "upstream_junk", orMore(byCount)},
	"an answer beyond all measure, with usage": {asked, answer(answered + strings.Repeat(" ", upstream.MaxBody)), 502, "upstream_junk", false, "upstream_junk", byUsage},
	"a stream that wasn't asked for":           {asked, events(thought + said + together + finished), 200, finished, false, "", byUsage},
	"gzip in spite of identity, unstreamed":    {asked, zipped("application/json", answered), 502, "upstream_junk", false, "upstream_junk", nothing},
	"a connection closed":                      {asked, answer("", cut), 502, "upstream_unreachable", false, "upstream_unreachable", nothing},
	"a redirect":                               {asked, refusing(307, "", "Location", "http://127.0.0.1:1/"), 502, "upstream_junk", false, "upstream_junk", nothing},
	"a refused key of ours":                    {asked, refusing(401, `{"error":"your key k"}`), 502, "did not answer as it should", false, "upstream_error", nothing},
	"a refused identity of ours":               {asked, refusing(403, `{"error":"principal x"}`), 502, "did not answer as it should", false, "upstream_error", nothing},
	"a filtered prompt":                        {asked, refusing(400, `{"error":{"code":"content_filter"}}`), 400, "content_filter", false, "upstream_error", byPrompt},
	"408":                                      {asked, refusing(408, `{"error":{"code":"Timeout"}}`), 408, "Timeout", false, "upstream_error", byPrompt},
	"424":                                      {asked, refusing(424, ``), 424, "answered 424", false, "upstream_error", nothing},
	"422":                                      {asked, refusing(422, `{"detail":[]}`), 422, "detail", false, "upstream_error", nothing},
	"429 without a time":                       {asked, refusing(429, `{"error":{"code":"429"}}`), 429, "429", false, "upstream_error", nothing},
	"402, of our account":                      {asked, refusing(402, `{"error":{"message":"Insufficient Balance"}}`), 502, "did not answer as it should", false, "upstream_error", nothing},
	"407, of our account":                      {asked, refusing(407, `{"error":"who are you"}`), 502, "did not answer as it should", false, "upstream_error", nothing},
	"a page of HTML":                           {asked, refusing(503, `<html>sub-1</html>`, "Content-Type", "text/html"), 503, "answered 503", false, "upstream_error", nothing},
	"a key of ours, echoed":                    {asked, refusing(400, `{"error":"no model for upstream-key"}`), 400, `{"error":"no model for (secret)"}`, false, "upstream_error", nothing},
	"a key of ours, echoed in a 200":           {asked, answer(`{"error":"no model for upstream-key"}`), 200, `{"error":"no model for (secret)"}`, false, "upstream_error", nothing},
	"a key of ours, echoed in a stream":        {stream, events(thought + strings.Replace(failing, "overloaded", "no upstream-key", 1)), 200, "no (secret)", false, "upstream_error", charge{prompt: true, text: "Let me think of the hour."}},

	"a finish_reason of nothing":            {stream, events(strings.ReplaceAll(thought+said, `}}]`, `},"finish_reason":""}]`)), 200, "late", true, "upstream_broken", byCount},
	"a finish_reason of null in words":      {stream, events(strings.ReplaceAll(thought+said, `}}]`, `},"finish_reason":"null"}]`)), 200, "late", true, "upstream_broken", byCount},
	"a choice without end":                  {stream, events(thought + said + strings.ReplaceAll(stopped, `"index":0`, `"index":1`)), 200, "stop", true, "upstream_broken", byCount},
	"[DONE] alone":                          {stream, events(finished), 502, "upstream_broken", false, "upstream_broken", nothing},
	"comments alone":                        {stream, events(": hi\n\n\n: hi\n\n"), 502, "upstream_broken", false, "upstream_broken", nothing},
	"comments and [DONE]":                   {stream, events(": hi\n\n" + finished), 502, "upstream_broken", false, "upstream_broken", nothing},
	"other data and [DONE]":                 {stream, events("data: {\"type\":\"ping\"}\n\n" + finished), 502, "upstream_broken", false, "upstream_broken", nothing},
	"no choices and [DONE]":                 {stream, events(`data: {"choices":[]}` + "\n\n" + finished), 502, "upstream_broken", false, "upstream_broken", nothing},
	"comments before the answer":            {stream, events(": hi\n\n" + thought + said + together + finished), 200, ": hi\n\n" + thought, false, "", byUsage},
	"usage and no text":                     {stream, events(told + finished), 200, finished, false, "", byUsage},
	"nothing to say":                        {stream, events(together + finished), 200, together, false, "", byUsage},
	"usage after [DONE]":                    {stream, events(thought + said + stopped + finished + told), 200, finished, false, "", byUsage},
	"usage after [DONE], cut":               {stream, events(thought+said+stopped+finished+told, cut), 200, finished, false, "upstream_broken", byUsage},
	"no end after [DONE]":                   {stream, events(thought+said+stopped+finished, hang), 200, finished, false, "", byCount},
	"usage in the choice":                   {stream, events(thought + said + strings.Replace(together, `}],"usage":`, `,"usage":`, 1)[:len(together)-4] + "}]}\n\n" + finished), 200, finished, false, "", byUsage},
	"usage of which the total says all":     {stream, events(thought + said + total.Replace(together) + finished), 200, finished, false, "", byUsage},
	"an image in an event":                  {stream, events(image + stopped + finished), 200, finished, false, "", orMore(byPrompt)},
	"a stream called JSON":                  {stream, called("application/json", thought+said+together+finished), 200, finished, false, "", byUsage},
	"a stream called nothing":               {stream, called("", thought+said+together+finished), 200, finished, false, "", byUsage},
	"a stream called one twice":             {stream, called("text/event-stream, text/event-stream", thought+said+together+finished), 200, finished, false, "", byUsage},
	"a stream called text, cut":             {stream, called("text/plain", thought+said, cut), 200, said, true, "upstream_broken", byCount},
	"a stream after blank lines":            {stream, called("application/octet-stream", "\xEF\xBB\xBF"+thought+said+together+finished), 200, finished, false, "", byUsage},
	"an answer called a stream":             {stream, events(answered), 200, answered, false, "", byUsage},
	"an error called a stream":              {stream, events(`{"error":{"message":"overloaded"}}`), 200, "overloaded", false, "upstream_error", nothing},
	"HTML called a stream":                  {stream, events("<html></html>"), 502, "upstream_junk", false, "upstream_junk", nothing},
	"HTML in place of a stream":             {stream, called("text/html", "<html></html>"), 502, "upstream_junk", false, "upstream_junk", nothing},
	"gzip that isn't called so":             {asked, answer("\x1f\x8b\x08\x00junk"), 502, "upstream_junk", false, "upstream_junk", nothing},
	"blank lines":                           {asked, answer(strings.Repeat("\n", 40)), 502, "upstream_junk", false, "upstream_junk", nothing},
	"an empty body":                         {asked, answer(""), 502, "upstream_junk", false, "upstream_junk", nothing},
	"an answer that is HTML":                {asked, called("text/html", "<html>no JSON</html>"), 502, "upstream_junk", false, "upstream_junk", nothing},
	"JSON that is no answer":                {asked, answer(`{"detail":"Internal error"}`), 502, "upstream_junk", false, "upstream_junk", nothing},
	"JSON of an error in other words":       {asked, answer(`{"code":"DataInspectionFailed","message":"x"}`), 502, "upstream_junk", false, "upstream_junk", nothing},
	"an answer of no choices":               {asked, answer(`{"choices":[]}`), 502, "upstream_junk", false, "upstream_junk", nothing},
	"an answer called HTML":                 {asked, called("text/html", answered), 200, answered, false, "", byUsage},
	"an answer after blank lines":           {asked, answer("\n\n\n" + answered), 200, answered, false, "", byUsage},
	"an answer with a byte order mark":      {asked, answer("\xEF\xBB\xBF" + answered), 200, answered, false, "", byUsage},
	"an answer with NaN":                    {asked, answer(strings.Replace(answered, `"message"`, `"logprobs":{"content":[{"logprob":NaN}]},"message"`, 1)), 200, answered[200:], false, "", byUsage},
	"an answer and more":                    {asked, answer(answered + "junk"), 200, answered, false, "", byUsage},
	"an answer of which the total says all": {asked, answer(total.Replace(answered)), 200, "late", false, "", byUsage},
	"an answer in whole floats":             {asked, answer(strings.Replace(answered, "75", "75.0", 1)), 200, "late", false, "", byUsage},
	"an answer with an error and usage":     {asked, answer(`{"error":"overloaded","usage":{"prompt_tokens":25,"completion_tokens":75}}`), 200, "overloaded", false, "upstream_error", byUsage},
	"an encoding of none":                   {stream, encoded("none", thought+said+together+finished), 200, finished, false, "", byUsage},
	"an encoding of utf-8":                  {stream, encoded("utf-8", thought+said+together+finished), 200, finished, false, "", byUsage},
	"an encoding of identity":               {stream, encoded("Identity", thought+said+together+finished), 200, finished, false, "", byUsage},
	"an encoding of nothing":                {stream, encoded("", thought+said+together+finished), 200, finished, false, "", byUsage},
	"an encoding of br":                     {stream, encoded("br", "junk"), 502, "upstream_junk", false, "upstream_junk", nothing},
	"an encoding of zstd after none":        {stream, encoded("none, zstd", "junk"), 502, "upstream_junk", false, "upstream_junk", nothing},
	"an encoding nobody knows":              {stream, encoded("xyz", "junk"), 502, "upstream_broken", false, "upstream_broken", nothing},

	"500":               {asked, refusing(500, ``), 500, "answered 500", false, "upstream_error", nothing},
	"a 500, compressed": {asked, refusing(500, "\x1f\x8b", "Content-Encoding", "gzip"), 500, "answered 500", false, "upstream_error", nothing},
}

// For each fault of upstream's the caller gets the right status, and pays for the tokens
// that upstream used.
func TestChargesAreRightWhateverUpstreamDoes(t *testing.T) {
	for name, test := range troubles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeouts := upstream.Timeouts{}
			switch { // shorten the timeout that the test needs
			case test.outcome == "upstream_silent":
				timeouts.Idle = brief
			case test.outcome == "upstream_timeout" && test.body == stream:
				timeouts.Header, timeouts.Idle = brief, brief
			case test.outcome == "upstream_timeout":
				timeouts.Whole = brief
			}
			b, log := openLogged(t, subscriptiontest.Limits{TokenQuota: 50_000_000, TokenQuotaPeriod: limit.Yearly}, timeouts, test.model)
			status, body, err := b.read(t.Context(), test.body)
			if status != test.status || !strings.Contains(body, test.part) || (err != nil) != test.aborted {
				t.Errorf("got %d %.300q, aborted %v; want %d with %q, aborted %t", status, body, err, test.status, test.part, test.aborted)
			}
			line, want := log.call(t), test.cost.tokens(promptIn(t, test.body))
			got := line.Prompt + line.Completion
			if test.cost.more {
				want = max(want, got) // the tokens used up must still equal those reported
			}
			if line.Outcome != test.outcome || got != want {
				t.Errorf("reported %+v, want %q and %d tokens", line, test.outcome, want)
			}
			if got = b.spent(t); got != want {
				t.Errorf("got %d tokens used up, want %d", got, want)
			}
		})
	}
}

// read makes a call and reads its answer as far as it goes.
func (b *bench) read(ctx context.Context, body string) (status int, text string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Api-Key", b.key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	return response.StatusCode, string(all), err
}

func TestUpstreamsRetryAfterIsPassedOn(t *testing.T) {
	for name, headers := range map[string][]string{
		"none": nil, "seconds": {"Retry-After", "7"}, "milliseconds": {"Retry-After-Ms", "7100", "Retry-After", "8"},
		"a date": {"Retry-After", "Tue, 24 Nov 2026 18:00:00 GMT"},
	} {
		for _, status := range []int{408, 424, 429, 500, 503, 529} {
			b := open(t, subscriptiontest.Limits{TokensPerMinute: 300}, refusing(status, `{"error":"theirs"}`, headers...))
			response, body := b.post(t, path, asked)
			if response.StatusCode != status || body != `{"error":"theirs"}` || (status != 408 && (response.Header.Get("x-apim-remaining-tokens") != "300" || response.Header.Get("x-apim-tokens-consumed") != "")) || response.Header.Get("x-tollgate-upstream") != "upstream-1" {
				t.Errorf("%d, %s: got %d %v %s, want upstream's own answer from upstream-1 and, but for 408, 300 tokens left and none consumed", status, name, response.StatusCode, response.Header, body)
			}
			for i := 0; i < len(headers); i += 2 {
				if got := response.Header.Get(headers[i]); got != headers[i+1] {
					t.Errorf("%d, %s: got %s %q, want %q", status, name, headers[i], got, headers[i+1])
				}
			}
			if len(headers) == 0 && response.Header.Get("Retry-After") != "" {
				t.Errorf("%d: got Retry-After %q, want none, as the endpoint sent none", status, response.Header.Get("Retry-After"))
			}
		}
	}
}

// The text of each completion is counted by itself, and all are charged.
func TestTheTextOfSeveralCompletionsIsCounted(t *testing.T) {
	b, log := openLogged(t, subscriptiontest.Limits{TokenQuota: 10_000, TokenQuotaPeriod: limit.Yearly}, upstream.Timeouts{}, events(
		strings.ReplaceAll(said, `"index":0`, `"index":1`)+said+thought+stopped+finished))
	if status, body, err := b.read(t.Context(), stream); status != 200 || err != nil {
		t.Fatalf("got %d %s, %v; want 200", status, body, err)
	}
	if got, want := log.call(t).Completion, textOf(`It is late "now".`)+textOf(`It is late "now".Let me think of the hour.`); got != want {
		t.Errorf("got %d completion tokens, want %d", got, want)
	}
}
