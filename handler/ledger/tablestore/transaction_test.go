package tablestore_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/ledger"
	"tollgate/handler/ledger/ledgertest"
	"tollgate/handler/ledger/tablestore"
	"tollgate/handler/local/azurite"
)

// An alteringTransport passes requests on to the emulator, and changes the response if change is set.
type alteringTransport struct {
	change func(*http.Response)
}

func (w *alteringTransport) Do(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultClient.Do(r)
	if err == nil && w.change != nil {
		w.change(answer)
	}
	return answer, err
}

// The error must say neither that the write was applied nor that it was refused.
func TestAResponseThatCannotBeTrustedLeavesTheOutcomeUnknown(t *testing.T) {
	w := &alteringTransport{}
	service, err := aztables.NewServiceClientFromConnectionString(azurite.Shared(t), &aztables.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: w, Retry: policy.RetryOptions{MaxRetries: -1}}})
	if err != nil {
		t.Fatal(err)
	}
	store := tablestore.New(service, "usage"+rand.Text())
	if _, err := store.Apply(t.Context(), []ledger.Change{{Row: ledgertest.Row(-1, "P1")}}); err != nil { // makes the table
		t.Fatal(err)
	}
	minute := int64(0)
	for name, change := range map[string]func(*http.Response){
		"a portal's answer": func(a *http.Response) { a.Header.Del("X-Ms-Request-Id") },
		"an empty answer":   func(a *http.Response) { a.Body = http.NoBody },
		"half an answer": func(a *http.Response) {
			body, _ := io.ReadAll(a.Body)
			a.Body = io.NopCloser(bytes.NewReader(body[:len(body)/2]))
		},
		"no ETag": func(a *http.Response) {
			body, _ := io.ReadAll(a.Body)
			a.Body = io.NopCloser(strings.NewReader(strings.ReplaceAll(string(body), "ETag", "Else")))
			a.Header.Del("Etag")
		},
		"a busy service": func(a *http.Response) { a.StatusCode = http.StatusServiceUnavailable },
	} {
		for _, rows := range []int{1, 2} {
			if rows == 1 && hasNoBody(name) {
				continue
			}
			var changes []ledger.Change
			for range rows {
				changes = append(changes, ledger.Change{Row: ledgertest.Row(minute, "P1")})
				minute++
			}
			w.change = change
			versions, err := store.Apply(t.Context(), changes)
			w.change = nil
			if err == nil || versions != nil || errors.Is(err, ledger.ErrConflict) || errors.Is(err, ledger.ErrNotFound) {
				t.Errorf("%s to %d changes: got %v, %v; want an error of unknown outcome", name, rows, versions, err)
			}
			if _, err := store.Apply(t.Context(), changes); !errors.Is(err, ledger.ErrConflict) {
				t.Errorf("%s to %d changes, sent again: got error %v, want %v, because they were applied", name, rows, err, ledger.ErrConflict)
			}
		}
	}
}

// hasNoBody reports whether a case needs a body, which the response to a single change lacks.
func hasNoBody(name string) bool { return name == "an empty answer" || name == "half an answer" }
