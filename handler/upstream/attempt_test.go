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

// aConnectionThatLay is a client with an idle connection to a server that closes
// it, without an answer, so long after the next call on it. New ones work.
func aConnectionThatLay(t *testing.T, closes time.Duration) (client *upstream.Client, calls *atomic.Int64) {
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

// TestAConnectionClosedWhileIdleIsNoFailure: a server may close a connection
// just when a call takes it, which the caller used to be told as a 502.
func TestAConnectionClosedWhileIdleIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, calls := aConnectionThatLay(t, 100*time.Millisecond)
		response, err := client.Send(t.Context(), aCall(false))
		if err != nil {
			t.Fatal(err)
		}
		response.Close()
		if calls.Load() != 3 {
			t.Errorf("%d calls reached upstream, want one lost and one answered", calls.Load()-1)
		}
	})
}

// A model that was at work when its connection broke isn't set to work again.
func TestACallThatBreaksLaterIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, calls := aConnectionThatLay(t, 2*time.Second)
		_, err := client.Send(t.Context(), aCall(false))
		var failed *upstream.Error
		if !errors.As(err, &failed) || failed.Reason != upstream.Unreachable || !failed.Accepted || calls.Load() != 2 {
			t.Errorf("got %v after %d calls, want a broken connection after the one", err, calls.Load()-1)
		}
	})
}
