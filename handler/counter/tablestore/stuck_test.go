package tablestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

// Each error is the service's own answer, and every write gets it.
func TestCallsAreDecidedWhateverErrorWritesGet(t *testing.T) {
	for _, test := range []struct {
		stored bool // the counter exists
		status int
		code   string
	}{
		{true, 412, "UpdateConditionNotSatisfied"}, {false, 409, "EntityAlreadyExists"}, {false, 404, "TableNotFound"}, {true, 404, "ResourceNotFound"},
		{true, 404, "TableNotFound"}, {false, 409, "TableBeingDeleted"}, {true, 403, "AuthorizationPermissionMismatch"}, {true, 503, "ServerBusy"},
	} {
		t.Run(fmt.Sprintf("%d %s, stored %v", test.status, test.code, test.stored), func(t *testing.T) {
			t.Parallel()
			store, w, table := openWired(t)
			limits := limit.Limits{PerMinute: 300, Version: 1}
			if test.stored {
				if _, _, err := store.Swap(t.Context(), "key", lease.New(limits, time.Now(), "e"), ""); err != nil {
					t.Fatal(err)
				}
			} else if _, err := table.CreateTable(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			var refused atomic.Int64
			w.answer = func(r *http.Request) *http.Response {
				if r.Method == http.MethodGet || strings.HasSuffix(r.URL.Path, "/Tables") {
					return nil // the emulator answers: the table exists
				}
				refused.Add(1)
				return refusal(r, test.status, test.code)
			}
			c := counter.New(counter.Config{Store: store, Log: slog.New(slog.DiscardHandler), OperationTimeout: time.Minute, SlowOperation: time.Minute})
			for _, mode := range []limit.StoreDown{limit.FailClosed, limit.Degrade} {
				r, d, err := c.Reserve(t.Context(), []counter.Part{{Key: "key", Terms: counter.Terms{Limits: limits, OnStoreDown: mode}, Ask: limit.Ask{Amount: 10}}})
				if r != nil {
					defer r.Cancel()
				}
				if mode == limit.FailClosed && !errors.Is(err, counter.ErrUnavailable) {
					t.Errorf("a call with %s: got %+v, %v; want ErrUnavailable", mode, d, err)
				}
				if mode == limit.Degrade && (err != nil || !d[0].Degraded) {
					t.Errorf("a call with %s: got %+v, %v; want it granted, degraded", mode, d, err)
				}
			}
			if n := refused.Load(); n == 0 || n > 50 {
				t.Errorf("writes until the calls were decided: got %d, want 1 to 50", n)
			}
		})
	}
}

// refusal returns an error answer of the service.
func refusal(r *http.Request, status int, code string) *http.Response {
	body := fmt.Sprintf(`{"odata.error":{"code":%q,"message":{"lang":"en-US","value":"no"}}}`, code)
	return &http.Response{StatusCode: status, Request: r, Body: io.NopCloser(bytes.NewReader([]byte(body))), Header: http.Header{
		"Content-Type": {"application/json"}, "Date": {time.Now().UTC().Format(http.TimeFormat)},
		"X-Ms-Request-Id": {"1"}, "X-Ms-Version": {"2019-02-02"}, "X-Ms-Error-Code": {code}}}
}
