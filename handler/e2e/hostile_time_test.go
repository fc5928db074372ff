package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tollgate/handler/asynctest"
)

// send opens a connection and sends a request in pieces, each after a value from pace. It
// leaves the connection open.
func (h *hostile) send(t *testing.T, pace <-chan time.Time, pieces ...string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", h.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	for _, piece := range pieces {
		if pace != nil {
			<-pace
		}
		if _, err := io.WriteString(conn, piece); err != nil {
			break // the gateway closed the connection, as it should
		}
	}
	return conn
}

// The gateway times out a caller that sends its request byte by byte. A caller that is
// still sending its headers gets nothing or 400, one that is sending its body 400. Neither
// is charged.
func TestASlowRequestTimesOut(t *testing.T) {
	h := startHostile(t, false)
	whole := h.post("/v1/chat/completions", "Api-Key: "+h.key+"\r\n", soundBody)
	headers := strings.Index(whole, "\r\n\r\n") + 4
	for name, test := range map[string]struct {
		at   int
		want []string
	}{"in the headers": {20, []string{"", "400"}}, "in the body": {headers + 10, []string{"400"}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			tick := time.NewTicker(125 * time.Millisecond)
			defer tick.Stop()
			pieces := []string{whole[:test.at]}
			for i := range 40 {
				pieces = append(pieces, whole[test.at+i:test.at+i+1])
			}
			conn := h.send(t, tick.C, pieces...)
			answer, _ := io.ReadAll(conn)
			if took := time.Since(begun); took > 15*time.Second {
				t.Errorf("got the connection closed after %v, want within 15s", took)
			}
			if status, _, _ := strings.Cut(strings.TrimPrefix(string(answer), "HTTP/1.1 "), " "); !slices.Contains(test.want, status) {
				t.Errorf("got the answer %q, want a status of %q", answer, test.want)
			}
		})
	}
	t.Cleanup(func() {
		if used := h.used(t); used != 0 {
			t.Errorf("got %d tokens charged, want 0", used)
		}
	})
}

// A caller that doesn't read its long stream is cut off and charged for the generated
// tokens, and the log blames the caller.
func TestASlowReaderIsCutOffAndCharged(t *testing.T) {
	h := startHostile(t, false, "WRITE_TIMEOUT", "500ms")
	chunk := `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("word ", 2000) + `"}}]}` + "\n\n"
	h.answer = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + strings.Repeat(chunk, 2000) + "data: [DONE]\n\n"
	h.send(t, nil, h.post("/v1/chat/completions", "Api-Key: "+h.key+"\r\n", `{"stream":true,`+soundBody[1:]))
	asynctest.Eventually(t, "the call is reported", func() error {
		if !strings.Contains(h.log.String(), `"outcome":"client_slow"`) {
			return fmt.Errorf("got the log %.2000s, want the outcome client_slow", h.log.String())
		}
		return nil
	})
	if charged := h.charged(t, func(charged int64) bool { return charged >= 1000 }); charged < 1000 {
		t.Errorf("got %d tokens charged for megabytes of text, want 1000 or more", charged)
	}
}

// Calls that follow each other on one connection are all answered, even after refusals.
func TestOneConnectionServesManyCalls(t *testing.T) {
	h := startHostile(t, false)
	sound := h.post("/v1/chat/completions", "Api-Key: "+h.key+"\r\n", soundBody)
	calls := []string{sound, h.post("/v1/chat/completions", "Api-Key: "+h.key+"\r\n", "junk"), h.post("/nowhere", "", ""),
		h.post("/v1/chat/completions", "", soundBody), sound}
	conn := h.send(t, nil, strings.Join(calls, "")) // pipelined
	from := bufio.NewReader(conn)
	for i, want := range []int{200, 400, 404, 401, 200} {
		response, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatalf("call %d: got error %v, want an answer", i, err)
		}
		body, err := io.ReadAll(response.Body)
		if response.StatusCode != want || err != nil {
			t.Errorf("call %d: got %d %s and error %v, want %d", i, response.StatusCode, body, err, want)
		}
	}
	if charged := h.charged(t, func(charged int64) bool { return charged == 2*modelTokens }); charged != 2*modelTokens {
		t.Errorf("got %d tokens charged, want %d", charged, 2*modelTokens)
	}
}

// The time limit of a request doesn't limit its answer.
func TestAStreamMayTakeLongerThanItsRequest(t *testing.T) {
	h := startHostile(t, false) // a body may take 3 s
	h.pause = 4 * time.Second
	conn := h.send(t, nil, h.post("/v1/chat/completions", "Connection: close\r\nApi-Key: "+h.key+"\r\n", `{"stream":true,`+soundBody[1:]))
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), "data: [DONE]\n\n") {
		t.Errorf("got %q and error %v, want a stream that ends with [DONE]", answer, err)
	}
	if charged := h.charged(t, func(charged int64) bool { return charged == modelTokens }); charged != modelTokens {
		t.Errorf("got %d tokens charged, want %d", charged, modelTokens)
	}
}

// A stream that is cut because the drain time is over is charged before the process ends.
func TestAStreamCutByTheDrainIsCharged(t *testing.T) {
	h := startHostile(t, false, "DRAIN_TIMEOUT", "50ms")
	h.pause = time.Hour
	conn := h.send(t, nil, h.post("/v1/chat/completions", "Api-Key: "+h.key+"\r\n", `{"stream":true,`+soundBody[1:]))
	for from := bufio.NewReader(conn); ; {
		line, err := from.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, canaryCompletion) {
			break
		}
	}
	h.stop()
	if log := h.log.String(); !strings.Contains(log, `"outcome":"client_closed"`) || !strings.Contains(log, `"completion_tokens":`) {
		t.Errorf("got the log %s, want client_closed with completion_tokens before the end", log)
	}
}
