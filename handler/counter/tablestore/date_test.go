package tablestore_test

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"strings"
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

// TestAProxysAnswersAreNotTakenForTheServices: also those that say no, but none of a
// proxy or a captive portal on the way, whatever its status.
func TestAProxysAnswersAreNotTakenForTheServices(t *testing.T) {
	w := &wire{}
	service, err := aztables.NewServiceClientFromConnectionString(azurite.Shared(t), &aztables.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: w, Retry: policy.RetryOptions{MaxRetries: -1}}})
	if err != nil {
		t.Fatal(err)
	}
	store := tablestore.New(service, "dates"+rand.Text())
	state := lease.New(limit.Limits{PerMinute: 300, Version: 1}, time.Now(), "epoch")
	recent := func(doing string, date time.Time) {
		t.Helper()
		if age := time.Since(date); age < -time.Second || age > time.Minute {
			t.Errorf("%s: got the time %v, want this minute's", doing, date)
		}
	}
	_, _, date, err := store.Load(t.Context(), "team-a")
	recent("no table", date)
	if !errors.Is(err, counter.ErrNotFound) {
		t.Error(err)
	}
	version, date, err := store.Swap(t.Context(), "team-a", state, "")
	recent("insert", date)
	if err != nil {
		t.Fatal(err)
	}
	_, date, err = store.Swap(t.Context(), "team-a", state, version+"x")
	recent("a conflict", date)
	if err == nil {
		t.Error("swapping another version: got no error, want a conflict")
	}
	_, _, date, _ = store.Load(t.Context(), "team-a")
	recent("read", date)
	for _, status := range []int{200, 204, 302, 404, 407, 412, 502, 503, 511} {
		w.struck = func(r *http.Request) *http.Response {
			header := http.Header{"Date": {"Fri, 01 Jan 2100 00:00:00 GMT"}, "Etag": {`"x"`}, "Content-Type": {"text/html"}, "Server": {"Zscaler/6.2"}}
			return &http.Response{StatusCode: status, Request: r, Header: header, Body: io.NopCloser(strings.NewReader("<html>Sign in</html>"))}
		}
		_, _, read, e0 := store.Load(t.Context(), "team-a")
		_, written, e1 := store.Swap(t.Context(), "team-a", state, version)
		_, inserted, e2 := store.Swap(t.Context(), "team-b", state, "")
		if !read.IsZero() || !written.IsZero() || !inserted.IsZero() {
			t.Errorf("a stranger's %d: got times %v, %v, %v; want none", status, read, written, inserted)
		}
		for _, err := range []error{e0, e1, e2} {
			if err == nil || errors.Is(err, counter.ErrNotFound) || errors.Is(err, counter.ErrConflict) || errors.Is(err, counter.ErrEdited) {
				t.Errorf("a stranger's %d: got %v, want an error that is none of ErrNotFound, ErrConflict and ErrEdited", status, err)
			}
		}
	}
}
