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

// logLine has the fields of a call's log line that these tests read.
type logLine struct {
	Status     int
	Outcome    string
	Stream     *bool // nil if the call is no chat completion
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
}

// logLines receives a gateway's log line by line.
type logLines chan []byte

func (l logLines) Write(line []byte) (int, error) {
	l <- bytes.Clone(line)
	return len(line), nil
}

// call waits for the next call's line.
func (l logLines) call(t *testing.T) (r logLine) {
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

// startLogged starts a gateway with comments on usage in its streams, and returns its log.
func startLogged(t *testing.T, limits subscriptiontest.Limits, timeouts upstream.Timeouts, model http.HandlerFunc) (*fixture, logLines) {
	log := make(logLines, 100)
	return startWith(t, limits, timeouts, model, func(c *gateway.Config) {
		c.TokensComment = true
		c.Log = slog.New(slog.NewJSONHandler(log, nil))
	}), log
}

// spent returns how much of the quota is used, in tokens. Unlike the minute's limit, the
// quota isn't reset soon after a call.
func (b *fixture) spent(t *testing.T) int64 {
	t.Helper()
	var decoded struct{ Quota struct{ Used int64 } }
	if _, body := b.get(t, "/usage"); json.Unmarshal([]byte(body), &decoded) != nil {
		t.Fatalf("/usage: got %s, want JSON with the quota's use", body)
	}
	return decoded.Quota.Used
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

// A charge says what a call must cost: the tokens that the endpoint reported, or the prompt as
// counted plus either the text that was written or the completion tokens reported.
type charge struct {
	reported int64
	prompt   bool
	text     string
	more     bool // may cost more: the bound grows with the time the call took
}

func (c charge) tokens(prompt int64) int64 {
	switch {
	case c.prompt && c.text != "":
		return prompt + textOf(c.text)
	case c.prompt:
		return prompt + c.reported
	}
	return c.reported
}

var (
	nothing  = charge{}
	byUsage  = charge{reported: 100}
	byPrompt = charge{prompt: true}
	byCount  = charge{prompt: true, text: writtenText}
)

func orMore(c charge) charge {
	c.more = true
	return c
}

const (
	plainBody  = `{"model":"DeepSeek-R1","messages":[{"role":"user","content":"What time is it, and why?"}]}`
	streamBody = `{"stream":true,"model":"DeepSeek-R1","messages":[{"role":"user","content":"What time is it, and why?"}]}`
)

// brief is the timeout for an upstream that hangs. It leaves time for what upstream sends
// before that, on a busy machine too.
const brief = 3 * time.Second

// upstreamFaults are faults of upstream, with the answer and charge that must follow.
var upstreamFaults = map[string]struct {
	body    string
	model   http.HandlerFunc
	status  int
	part    string // text that the answer must contain
	aborted bool
	outcome string
	cost    charge
}{
	"usage in its own chunk":           {streamBody, events(thoughtEvent + textEvent + stopEvent + usageEvent + doneEvent), 200, doneEvent, false, "", byUsage},
	"usage with the finish_reason":     {streamBody, events(thoughtEvent + textEvent + stopAndUsageEvent + doneEvent), 200, stopAndUsageEvent, false, "", byUsage},
	"no usage":                         {streamBody, events(thoughtEvent + textEvent + stopEvent + doneEvent), 200, doneEvent, false, "", byCount},
	"usage null":                       {streamBody, events(thoughtEvent + textEvent + strings.Replace(stopEvent, "]}\n", `],"usage":null}`+"\n", 1) + doneEvent), 200, doneEvent, false, "", byCount},
	"no [DONE]":                        {streamBody, events(thoughtEvent + textEvent + stopAndUsageEvent), 200, stopAndUsageEvent, false, "", byUsage},
	"a cut mid-event":                  {streamBody, events(thoughtEvent+textEvent+`data: {"choi`, cut), 200, textEvent, true, "upstream_broken", orMore(byCount)},
	"a cut between events":             {streamBody, events(thoughtEvent+textEvent, cut), 200, textEvent, true, "upstream_broken", byCount},
	"a cut after [DONE]":               {streamBody, events(thoughtEvent+textEvent+stopAndUsageEvent+doneEvent, cut), 200, doneEvent, false, "upstream_broken", byUsage},
	"a cut after usage, before [DONE]": {streamBody, events(thoughtEvent+textEvent+stopEvent+usageEvent, cut), 200, textEvent, true, "upstream_broken", byUsage},
	"an end mid-answer":                {streamBody, events(thoughtEvent + textEvent), 200, textEvent, true, "upstream_broken", byCount},
	"an end mid-event":                 {streamBody, events(thoughtEvent + textEvent + `data: {"choi`), 200, textEvent, true, "upstream_broken", orMore(byCount)},
	"an end after an event's text":     {streamBody, events(thoughtEvent + strings.TrimSuffix(textEvent, "]}\n\n")), 200, thoughtEvent, true, "upstream_broken", orMore(byCount)},
	"an end mid-text":                  {streamBody, events(thoughtEvent + textEvent[:strings.Index(textEvent, "late")+4]), 200, thoughtEvent, true, "upstream_broken", charge{prompt: true, text: "Let me think of the hour.It is late", more: true}},
	"a hang mid-stream":                {streamBody, events(thoughtEvent+textEvent, hang), 200, textEvent, true, "upstream_silent", byCount},
	"a stream of nothing":              {streamBody, events(""), 502, "upstream_broken", false, "upstream_broken", nothing},
	"a cut before the first event":     {streamBody, events("", cut), 502, "upstream_broken", false, "upstream_broken", nothing},
	"an error event at once":           {streamBody, events(errorEvent), 200, "overloaded", false, "upstream_error", nothing},
	"an error event after some text":   {streamBody, events(thoughtEvent + textEvent + errorEvent), 200, "overloaded", false, "upstream_error", byCount},
	"an error event and [DONE]":        {streamBody, events(errorEvent + doneEvent), 200, "overloaded", false, "upstream_error", nothing},
	"an error event, but usage":        {streamBody, events(thoughtEvent + errorEvent + usageEvent + doneEvent), 200, "overloaded", false, "upstream_error", byUsage},
	"junk in an event":                 {streamBody, events("data: {junk\n\n" + textEvent + stopEvent + doneEvent), 200, "data: {junk\n\n", false, "", charge{prompt: true, text: `It is late "now".`, more: true}},
	"a line of 10 MB, and usage":       {streamBody, events(longEvent + usageEvent + doneEvent), 200, doneEvent, false, "", byUsage},
	"a line of 10 MB, and none":        {streamBody, events(longEvent + stopEvent + doneEvent), 200, doneEvent, false, "", charge{prompt: true, text: longText, more: true}},
	"gzip in spite of identity":        {streamBody, zipped("text/event-stream", thoughtEvent+usageEvent), 502, "upstream_junk", false, "upstream_junk", nothing},
	"a hang before headers":            {streamBody, answer("", hang), 504, "did not begin", false, "upstream_timeout", byPrompt},
	"a hang before the first event":    {streamBody, events("", hang), 504, "upstream_timeout", false, "upstream_timeout", byPrompt},
	"an answer that isn't streamed":    {streamBody, answer(wholeAnswer), 200, wholeAnswer, false, "", byUsage},
	"a 500, streamed":                  {streamBody, refusing(500, `{"error":"theirs"}`), 500, `{"error":"theirs"}`, false, "upstream_error", nothing},

	"a stream that isn't called one":           {streamBody, answer(thoughtEvent + textEvent + stopEvent + doneEvent), 200, doneEvent, false, "", byCount},
	"a stream not called one, with usage":      {streamBody, answer(thoughtEvent + textEvent + stopEvent + usageEvent + doneEvent), 200, doneEvent, false, "", byUsage},
	"an answer":                                {plainBody, answer(wholeAnswer), 200, wholeAnswer, false, "", byUsage},
	"an answer without usage":                  {plainBody, answer(strings.Replace(wholeAnswer, "usage", "tokens", 1)), 200, "tokens", false, "", byCount},
	"an answer with usage that can't be":       {plainBody, answer(strings.Replace(wholeAnswer, "75", "-75", 1)), 200, "-75", false, "", byCount},
	"an answer of nothing, without usage":      {plainBody, answer(emptyAnswer), 200, emptyAnswer, false, "", byPrompt},
	"an answer in parts, without usage":        {plainBody, answer(strings.Replace(strings.Replace(wholeAnswer, "usage", "tokens", 1), contentString, contentParts, 1)), 200, contentParts, false, "", byCount},
	"a stream in parts, without usage":         {streamBody, events(thoughtEvent + strings.Replace(textEvent, contentString, contentParts, 1) + stopEvent + doneEvent), 200, doneEvent, false, "", byCount},
	"usage without the prompt":                 {plainBody, answer(withoutPromptTokens.Replace(wholeAnswer)), 200, "", false, "", charge{prompt: true, reported: 75}},
	"usage without the prompt, streamed":       {streamBody, events(thoughtEvent + withoutPromptTokens.Replace(stopAndUsageEvent) + doneEvent), 200, "", false, "", charge{prompt: true, reported: 75}},
	"a field for errors that says none":        {streamBody, events(strings.Replace(thoughtEvent, "{", `{"error":"",`, 1) + textEvent + stopAndUsageEvent + doneEvent), 200, doneEvent, false, "", byUsage},
	"an answer that is an error":               {plainBody, answer(`{"error":{"message":"overloaded"}}`), 200, "overloaded", false, "upstream_error", nothing},
	"an answer cut off":                        {plainBody, answer(wholeAnswer[:strings.Index(wholeAnswer, "late")+4], cut), 502, "upstream_broken", false, "upstream_broken", charge{prompt: true, text: "Let me think of the hour.It is late", more: true}},
	"an answer beyond all measure":             {plainBody, answer(strings.Repeat(" ", upstream.MaxBody+1)), 502, "upstream_junk", false, "upstream_junk", nothing},
	"an answer beyond all measure, with text":  {plainBody, answer(strings.Replace(wholeAnswer, "usage", "x", 1) + strings.Repeat(" ", upstream.MaxBody)), 502, "upstream_junk", false, "upstream_junk", orMore(byCount)},
	"an answer beyond all measure, with usage": {plainBody, answer(wholeAnswer + strings.Repeat(" ", upstream.MaxBody)), 502, "upstream_junk", false, "upstream_junk", byUsage},
	"a stream that wasn't asked for":           {plainBody, events(thoughtEvent + textEvent + stopAndUsageEvent + doneEvent), 200, doneEvent, false, "", byUsage},
	"gzip in spite of identity, unstreamed":    {plainBody, zipped("application/json", wholeAnswer), 502, "upstream_junk", false, "upstream_junk", nothing},
	"a connection closed":                      {plainBody, answer("", cut), 502, "upstream_unreachable", false, "upstream_unreachable", nothing},
	"a redirect":                               {plainBody, refusing(307, "", "Location", "http://127.0.0.1:1/"), 502, "upstream_junk", false, "upstream_junk", nothing},
	"a refused key of ours":                    {plainBody, refusing(401, `{"error":"your key k"}`), 502, "did not answer as it should", false, "upstream_error", nothing},
	"a refused identity of ours":               {plainBody, refusing(403, `{"error":"principal x"}`), 502, "did not answer as it should", false, "upstream_error", nothing},
	"a filtered prompt":                        {plainBody, refusing(400, `{"error":{"code":"content_filter"}}`), 400, "content_filter", false, "upstream_error", byPrompt},
	"408":                                      {plainBody, refusing(408, `{"error":{"code":"Timeout"}}`), 408, "Timeout", false, "upstream_error", byPrompt},
	"424":                                      {plainBody, refusing(424, ``), 424, "answered 424", false, "upstream_error", nothing},
	"422":                                      {plainBody, refusing(422, `{"detail":[]}`), 422, "detail", false, "upstream_error", nothing},
	"429 without a time":                       {plainBody, refusing(429, `{"error":{"code":"429"}}`), 429, "429", false, "upstream_error", nothing},
	"402, of our account":                      {plainBody, refusing(402, `{"error":{"message":"Insufficient Balance"}}`), 502, "did not answer as it should", false, "upstream_error", nothing},
	"407, of our account":                      {plainBody, refusing(407, `{"error":"who are you"}`), 502, "did not answer as it should", false, "upstream_error", nothing},
	"a page of HTML":                           {plainBody, refusing(503, `<html>sub-1</html>`, "Content-Type", "text/html"), 503, "answered 503", false, "upstream_error", nothing},
	"a key of ours, echoed":                    {plainBody, refusing(400, `{"error":"no model for upstream-key"}`), 400, `{"error":"no model for (secret)"}`, false, "upstream_error", nothing},
	"a key of ours, echoed in a 200":           {plainBody, answer(`{"error":"no model for upstream-key"}`), 200, `{"error":"no model for (secret)"}`, false, "upstream_error", nothing},
	"a key of ours, echoed in a stream":        {streamBody, events(thoughtEvent + strings.Replace(errorEvent, "overloaded", "no upstream-key", 1)), 200, "no (secret)", false, "upstream_error", charge{prompt: true, text: "Let me think of the hour."}},

	"a finish_reason of nothing":            {streamBody, events(strings.ReplaceAll(thoughtEvent+textEvent, `}}]`, `},"finish_reason":""}]`)), 200, "late", true, "upstream_broken", byCount},
	"a finish_reason of null in words":      {streamBody, events(strings.ReplaceAll(thoughtEvent+textEvent, `}}]`, `},"finish_reason":"null"}]`)), 200, "late", true, "upstream_broken", byCount},
	"a choice without end":                  {streamBody, events(thoughtEvent + textEvent + strings.ReplaceAll(stopEvent, `"index":0`, `"index":1`)), 200, "stop", true, "upstream_broken", byCount},
	"[DONE] alone":                          {streamBody, events(doneEvent), 502, "upstream_broken", false, "upstream_broken", nothing},
	"comments alone":                        {streamBody, events(": hi\n\n\n: hi\n\n"), 502, "upstream_broken", false, "upstream_broken", nothing},
	"comments and [DONE]":                   {streamBody, events(": hi\n\n" + doneEvent), 502, "upstream_broken", false, "upstream_broken", nothing},
	"other data and [DONE]":                 {streamBody, events("data: {\"type\":\"ping\"}\n\n" + doneEvent), 502, "upstream_broken", false, "upstream_broken", nothing},
	"no choices and [DONE]":                 {streamBody, events(`data: {"choices":[]}` + "\n\n" + doneEvent), 502, "upstream_broken", false, "upstream_broken", nothing},
	"comments before the answer":            {streamBody, events(": hi\n\n" + thoughtEvent + textEvent + stopAndUsageEvent + doneEvent), 200, ": hi\n\n" + thoughtEvent, false, "", byUsage},
	"usage and no text":                     {streamBody, events(usageEvent + doneEvent), 200, doneEvent, false, "", byUsage},
	"nothing to say":                        {streamBody, events(stopAndUsageEvent + doneEvent), 200, stopAndUsageEvent, false, "", byUsage},
	"usage after [DONE]":                    {streamBody, events(thoughtEvent + textEvent + stopEvent + doneEvent + usageEvent), 200, doneEvent, false, "", byUsage},
	"usage after [DONE], cut":               {streamBody, events(thoughtEvent+textEvent+stopEvent+doneEvent+usageEvent, cut), 200, doneEvent, false, "upstream_broken", byUsage},
	"no end after [DONE]":                   {streamBody, events(thoughtEvent+textEvent+stopEvent+doneEvent, hang), 200, doneEvent, false, "", byCount},
	"usage in the choice":                   {streamBody, events(thoughtEvent + textEvent + strings.Replace(stopAndUsageEvent, `}],"usage":`, `,"usage":`, 1)[:len(stopAndUsageEvent)-4] + "}]}\n\n" + doneEvent), 200, doneEvent, false, "", byUsage},
	"usage of which the total says all":     {streamBody, events(thoughtEvent + textEvent + withLargerTotal.Replace(stopAndUsageEvent) + doneEvent), 200, doneEvent, false, "", byUsage},
	"an image in an event":                  {streamBody, events(imageEvent + stopEvent + doneEvent), 200, doneEvent, false, "", orMore(byPrompt)},
	"a stream called JSON":                  {streamBody, withType("application/json", thoughtEvent+textEvent+stopAndUsageEvent+doneEvent), 200, doneEvent, false, "", byUsage},
	"a stream called nothing":               {streamBody, withType("", thoughtEvent+textEvent+stopAndUsageEvent+doneEvent), 200, doneEvent, false, "", byUsage},
	"a stream called one twice":             {streamBody, withType("text/event-stream, text/event-stream", thoughtEvent+textEvent+stopAndUsageEvent+doneEvent), 200, doneEvent, false, "", byUsage},
	"a stream called text, cut":             {streamBody, withType("text/plain", thoughtEvent+textEvent, cut), 200, textEvent, true, "upstream_broken", byCount},
	"a stream after blank lines":            {streamBody, withType("application/octet-stream", "\xEF\xBB\xBF"+thoughtEvent+textEvent+stopAndUsageEvent+doneEvent), 200, doneEvent, false, "", byUsage},
	"an answer called a stream":             {streamBody, events(wholeAnswer), 200, wholeAnswer, false, "", byUsage},
	"an error called a stream":              {streamBody, events(`{"error":{"message":"overloaded"}}`), 200, "overloaded", false, "upstream_error", nothing},
	"HTML called a stream":                  {streamBody, events("<html></html>"), 502, "upstream_junk", false, "upstream_junk", nothing},
	"HTML in place of a stream":             {streamBody, withType("text/html", "<html></html>"), 502, "upstream_junk", false, "upstream_junk", nothing},
	"gzip that isn't called so":             {plainBody, answer("\x1f\x8b\x08\x00junk"), 502, "upstream_junk", false, "upstream_junk", nothing},
	"blank lines":                           {plainBody, answer(strings.Repeat("\n", 40)), 502, "upstream_junk", false, "upstream_junk", nothing},
	"an empty body":                         {plainBody, answer(""), 502, "upstream_junk", false, "upstream_junk", nothing},
	"an answer that is HTML":                {plainBody, withType("text/html", "<html>no JSON</html>"), 502, "upstream_junk", false, "upstream_junk", nothing},
	"JSON that is no answer":                {plainBody, answer(`{"detail":"Internal error"}`), 502, "upstream_junk", false, "upstream_junk", nothing},
	"JSON of an error in other words":       {plainBody, answer(`{"code":"DataInspectionFailed","message":"x"}`), 502, "upstream_junk", false, "upstream_junk", nothing},
	"an answer of no choices":               {plainBody, answer(`{"choices":[]}`), 502, "upstream_junk", false, "upstream_junk", nothing},
	"an answer called HTML":                 {plainBody, withType("text/html", wholeAnswer), 200, wholeAnswer, false, "", byUsage},
	"an answer after blank lines":           {plainBody, answer("\n\n\n" + wholeAnswer), 200, wholeAnswer, false, "", byUsage},
	"an answer with a byte order mark":      {plainBody, answer("\xEF\xBB\xBF" + wholeAnswer), 200, wholeAnswer, false, "", byUsage},
	"an answer with NaN":                    {plainBody, answer(strings.Replace(wholeAnswer, `"message"`, `"logprobs":{"content":[{"logprob":NaN}]},"message"`, 1)), 200, wholeAnswer[200:], false, "", byUsage},
	"an answer and more":                    {plainBody, answer(wholeAnswer + "junk"), 200, wholeAnswer, false, "", byUsage},
	"an answer of which the total says all": {plainBody, answer(withLargerTotal.Replace(wholeAnswer)), 200, "late", false, "", byUsage},
	"an answer in whole floats":             {plainBody, answer(strings.Replace(wholeAnswer, "75", "75.0", 1)), 200, "late", false, "", byUsage},
	"an answer with an error and usage":     {plainBody, answer(`{"error":"overloaded","usage":{"prompt_tokens":25,"completion_tokens":75}}`), 200, "overloaded", false, "upstream_error", byUsage},
	"an encoding of none":                   {streamBody, withEncoding("none", thoughtEvent+textEvent+stopAndUsageEvent+doneEvent), 200, doneEvent, false, "", byUsage},
	"an encoding of utf-8":                  {streamBody, withEncoding("utf-8", thoughtEvent+textEvent+stopAndUsageEvent+doneEvent), 200, doneEvent, false, "", byUsage},
	"an encoding of identity":               {streamBody, withEncoding("Identity", thoughtEvent+textEvent+stopAndUsageEvent+doneEvent), 200, doneEvent, false, "", byUsage},
	"an encoding of nothing":                {streamBody, withEncoding("", thoughtEvent+textEvent+stopAndUsageEvent+doneEvent), 200, doneEvent, false, "", byUsage},
	"an encoding of br":                     {streamBody, withEncoding("br", "junk"), 502, "upstream_junk", false, "upstream_junk", nothing},
	"an encoding of zstd after none":        {streamBody, withEncoding("none, zstd", "junk"), 502, "upstream_junk", false, "upstream_junk", nothing},
	"an encoding nobody knows":              {streamBody, withEncoding("xyz", "junk"), 502, "upstream_broken", false, "upstream_broken", nothing},

	"500":               {plainBody, refusing(500, ``), 500, "answered 500", false, "upstream_error", nothing},
	"a 500, compressed": {plainBody, refusing(500, "\x1f\x8b", "Content-Encoding", "gzip"), 500, "answered 500", false, "upstream_error", nothing},
}

// For each fault of upstream's the caller gets the right status, and pays for the tokens
// that upstream used.
func TestChargesAreRightWhateverUpstreamDoes(t *testing.T) {
	for name, test := range upstreamFaults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeouts := upstream.Timeouts{}
			switch { // shorten the timeout that the test needs
			case test.outcome == "upstream_silent":
				timeouts.Idle = brief
			case test.outcome == "upstream_timeout" && test.body == streamBody:
				timeouts.Header, timeouts.Idle = brief, brief
			case test.outcome == "upstream_timeout":
				timeouts.Whole = brief
			}
			b, log := startLogged(t, subscriptiontest.Limits{TokenQuota: 50_000_000, TokenQuotaPeriod: limit.Yearly}, timeouts, test.model)
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
				t.Errorf("got %+v reported, want %q and %d tokens", line, test.outcome, want)
			}
			if got = b.spent(t); got != want {
				t.Errorf("got %d tokens used up, want %d", got, want)
			}
		})
	}
}

// read makes a call and reads its answer as far as it goes.
func (b *fixture) read(ctx context.Context, body string) (status int, text string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, b.URL+demoPath, strings.NewReader(body))
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
			b := start(t, subscriptiontest.Limits{TokensPerMinute: 300}, refusing(status, `{"error":"theirs"}`, headers...))
			response, body := b.post(t, demoPath, plainBody)
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
	b, log := startLogged(t, subscriptiontest.Limits{TokenQuota: 10_000, TokenQuotaPeriod: limit.Yearly}, upstream.Timeouts{}, events(
		strings.ReplaceAll(textEvent, `"index":0`, `"index":1`)+textEvent+thoughtEvent+stopEvent+doneEvent))
	if status, body, err := b.read(t.Context(), streamBody); status != 200 || err != nil {
		t.Fatalf("got %d %s, %v; want 200", status, body, err)
	}
	if got, want := log.call(t).Completion, textOf(`It is late "now".`)+textOf(`It is late "now".Let me think of the hour.`); got != want {
		t.Errorf("got %d completion tokens, want %d", got, want)
	}
}
