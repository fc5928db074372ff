package gateway

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tollgate/handler/chat"
	"tollgate/handler/counter"
	"tollgate/handler/limit"
	"tollgate/handler/subscription"
	"tollgate/handler/tokens"
	"tollgate/handler/upstream"
)

// call is one request on its way: each step adds what it found out.
type call struct {
	w         http.ResponseWriter
	r         *http.Request
	requestID string
	started   time.Time
	route     route

	grant       *subscription.Grant
	request     *chat.Request
	model       string
	encoding    *tokens.Encoding
	prompt      int64 // tokens
	cap         int64 // tokens, put on each completion; 0: none is
	reservation *counter.Reservation
	response    *upstream.Response
	askedUsage  bool // the stream's usage chunk is asked for by the gateway alone

	// for the log line
	status  int
	outcome string
	usage   limit.Usage
	settled bool
	cause   error

	standing limit.Standing // once it is settled
}

func begin(w http.ResponseWriter, r *http.Request) *call {
	c := &call{w: w, r: r, requestID: requestID(r.Header), started: time.Now()}
	w.Header().Set(headerRequestID, c.requestID)
	return c
}

// presentedKey is the caller's key. Microsoft's SDKs send one key in two
// headers at once; two different keys are nobody's.
func presentedKey(h http.Header) (key string, ok bool) {
	bearer := h.Get("Authorization")
	if scheme, token, found := strings.Cut(bearer, " "); found && strings.EqualFold(scheme, "Bearer") {
		bearer = strings.TrimSpace(token)
	} else {
		bearer = ""
	}
	for _, name := range []string{"Api-Key", "Ocp-Apim-Subscription-Key"} {
		for _, value := range h[name] {
			if key != "" && value != key {
				return "", false
			}
			key = value
		}
	}
	if bearer != "" && key != "" && bearer != key {
		return "", false
	}
	return cmp.Or(key, bearer), key != "" || bearer != ""
}

// answer sends a whole body.
func (c *call) answer(status int, contentType string, body []byte) {
	c.status = status
	h := c.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	if len(body) <= roomForAnswer {
		_, _ = c.w.Write(body) // a caller that has left is told nothing more
		return
	}
	control := http.NewResponseController(c.w)
	_ = control.SetWriteDeadline(time.Now().Add(answerAccepted)) // not every writer has deadlines
	_, _ = c.w.Write(body)
	_ = control.Flush()
	_ = control.SetWriteDeadline(time.Time{})
}

const (
	// roomForAnswer is how many bytes of an answer a connection takes whether or
	// not its caller reads them.
	roomForAnswer = 16 << 10
	// answerAccepted bounds how long a caller may take to accept a longer one.
	answerAccepted = 2 * time.Minute
)

// refuse answers with what went wrong.
func (g *Gateway) refuse(c *call, err error) {
	p := asProblem(err)
	c.outcome, c.cause = p.code, p.cause
	if p.retry > 0 {
		g.Headers.retry(c.w.Header(), p.retry)
	}
	if p.verbatim != nil {
		c.answer(p.status, cmp.Or(c.w.Header().Get("Content-Type"), "application/json"), p.verbatim)
		return
	}
	c.answer(p.status, "application/json", p.body(c.requestID))
}

// report writes the call's one log line. It names no key, prompt or completion.
func (g *Gateway) report(c *call) {
	attrs := []slog.Attr{
		slog.String("request_id", c.requestID),
		slog.Int("status", c.status),
		slog.Float64("ms", float64(time.Since(c.started).Microseconds())/1000),
	}
	level := slog.LevelInfo
	if c.grant != nil {
		attrs = append(attrs, slog.String("subscription", c.grant.Subscription.ID), slog.String("tier", c.grant.Tier.ID))
	}
	if c.model != "" {
		attrs = append(attrs, slog.String("model", c.model), slog.Bool("stream", c.request.Stream))
	}
	if c.settled {
		attrs = append(attrs, slog.Int64("prompt_tokens", c.usage.PromptTokens), slog.Int64("completion_tokens", c.usage.CompletionTokens))
	}
	if c.outcome != "" {
		attrs = append(attrs, slog.String("outcome", c.outcome))
	}
	if c.cause != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("cause", c.cause.Error()))
	}
	g.Log.LogAttrs(context.WithoutCancel(c.r.Context()), level, "call", attrs...)
}
