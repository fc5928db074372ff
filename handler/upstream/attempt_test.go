package upstream_test

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/upstream"
)

// idleConnection returns a client with an idle connection. The server closes the
// connection without an answer when the next call has been there for the time closes. New
// connections work.
func idleConnection(t *testing.T, closes time.Duration) (client *upstream.Client, calls *atomic.Int64) {
	t.Helper()
	calls = new(atomic.Int64)
	client = clientOnWire(t, upstream.Timeouts{}, func(http.ResponseWriter, *http.Request) {
		if calls.Add(1) == 2 {
			time.Sleep(closes)
			panic(http.ErrAbortHandler)
		}
	})
	response, err := client.Send(t.Context(), aCall(false))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = response.Body(unbounded); err != nil {
		t.Fatal(err)
	}
	response.Close()
	return client, calls
}

// A server may close an idle connection just when a call takes it.
func TestACallIsSentAgainIfItsIdleConnectionWasClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, calls := idleConnection(t, 100*time.Millisecond)
		response, err := client.Send(t.Context(), aCall(false))
		if err != nil {
			t.Fatal(err)
		}
		response.Close()
		if calls.Load() != 3 {
			t.Errorf("got %d requests, want 2: one lost and one answered", calls.Load()-1)
		}
	})
}

// A model may have been working when the connection broke, and must not work twice.
func TestACallThatBreaksLaterIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, calls := idleConnection(t, 2*time.Second)
		_, err := client.Send(t.Context(), aCall(false))
		var failed *upstream.Error
		if !errors.As(err, &failed) || failed.Reason != upstream.Unreachable || !failed.Accepted || calls.Load() != 2 {
			t.Errorf("got %v after %d requests, want %s of an accepted call after 1", err, calls.Load()-1, upstream.Unreachable)
		}
	})
}
