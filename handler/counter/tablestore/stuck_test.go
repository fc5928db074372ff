package tablestore_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/counter"
	"tollgate/handler/counter/tablestore"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
	"tollgate/handler/local/azurite"
)

// TestCallsAreDecidedWhateverErrorWritesGet: each answer is the service's
// own, and none lets a write land.
func TestCallsAreDecidedWhateverErrorWritesGet(t *testing.T) {
	for _, test := range []struct {
		stored bool
		status int
		code   string
	}{
		{true, 412, "UpdateConditionNotSatisfied"}, {false, 409, "EntityAlreadyExists"}, {false, 404, "TableNotFound"}, {true, 404, "ResourceNotFound"},
		{true, 404, "TableNotFound"}, {false, 409, "TableBeingDeleted"}, {true, 403, "AuthorizationPermissionMismatch"}, {true, 503, "ServerBusy"},
	} {
		t.Run(fmt.Sprintf("%d %s, stored %v", test.status, test.code, test.stored), func(t *testing.T) {
			t.Parallel()
			w := &wire{}
			service, err := aztables.NewServiceClientFromConnectionString(azurite.Shared(t), &aztables.ClientOptions{
				ClientOptions: azcore.ClientOptions{Transport: w, Retry: policy.RetryOptions{MaxRetries: -1}}})
			if err != nil {
				t.Fatal(err)
			}
			table := "stuck" + rand.Text()
			store := tablestore.New(service, table)
			limits := limit.Limits{PerMinute: 300, Version: 1}
			if test.stored {
				if _, _, err := store.Swap(t.Context(), "key", lease.New(limits, time.Now(), "e"), ""); err != nil {
					t.Fatal(err)
				}
			} else if _, err := service.CreateTable(t.Context(), table, nil); err != nil {
				t.Fatal(err)
			}
			var refused atomic.Int64
			w.struck = func(r *http.Request) *http.Response {
				if r.Method == http.MethodGet || strings.HasSuffix(r.URL.Path, "/Tables") {
					return nil // the service says that the table exists
				}
				refused.Add(1)
				return refusal(r, test.status, test.code)
			}
			c := counter.New(counter.Config{Store: store, Log: slog.New(slog.DiscardHandler), OperationTimeout: time.Minute, SlowOperation: time.Minute})
			for _, terms := range []counter.Terms{{Limits: limits, OnStoreDown: limit.FailClosed}, {Limits: limits, OnStoreDown: limit.Degrade}} {
				r, d, err := c.Reserve(t.Context(), []counter.Part{{Key: "key", Terms: terms, Ask: limit.Ask{Amount: 10}}})
				if r != nil {
					defer r.Cancel()
				}
				if terms.OnStoreDown == limit.FailClosed && !errors.Is(err, counter.ErrUnavailable) || terms.OnStoreDown == limit.Degrade && (err != nil || !d[0].Degraded) {
					t.Errorf("%s: got %+v, %v; want ErrUnavailable if closed, else the call granted, degraded", terms.OnStoreDown, d, err)
				}
			}
			if n := refused.Load(); n == 0 || n > 50 {
				t.Errorf("writes refused until the calls were decided: got %d, want 1 to 50", n)
			}
		})
	}
}

// refusal returns the service's refusal of a write.
func refusal(r *http.Request, status int, code string) *http.Response {
	body := fmt.Sprintf(`{"odata.error":{"code":%q,"message":{"lang":"en-US","value":"no"}}}`, code)
	return &http.Response{StatusCode: status, Request: r, Body: io.NopCloser(bytes.NewReader([]byte(body))), Header: http.Header{
		"Content-Type": {"application/json"}, "Date": {time.Now().UTC().Format(http.TimeFormat)},
		"X-Ms-Request-Id": {"1"}, "X-Ms-Version": {"2019-02-02"}, "X-Ms-Error-Code": {code}}}
}
