package tablestore_test

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/counter/tablestore"
	"tollgate/handler/counter/usage"
	"tollgate/handler/counter/usage/usagetest"
	"tollgate/handler/limit"
	"tollgate/handler/local/azurite"
)

// wire carries requests to the emulator. If struck is set, it may answer in the
// emulator's place.
type wire struct {
	struck func(*http.Request) *http.Response
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	if w.struck != nil {
		if answer := w.struck(r); answer != nil {
			return answer, nil
		}
	}
	return http.DefaultClient.Do(r)
}

// history returns an empty history over a wire.
func history(t *testing.T) (*tablestore.History, *wire) {
	t.Helper()
	return historyIn(t, "usage"+rand.Text())
}

func historyIn(t *testing.T, table string) (*tablestore.History, *wire) {
	t.Helper()
	w := &wire{}
	service, err := aztables.NewServiceClientFromConnectionString(azurite.Shared(t), &aztables.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: w, Retry: policy.RetryOptions{MaxRetries: -1}}})
	if err != nil {
		t.Fatal(err)
	}
	return tablestore.NewHistory(service, table), w
}

func TestHistoryConformance(t *testing.T) {
	usagetest.Run(t, func(t *testing.T) usage.Store {
		h, _ := history(t)
		return h
	})
}

// fill adds rows of one counter.
func fill(t *testing.T, h *tablestore.History, rows int) {
	t.Helper()
	for i := range int64(rows) {
		if err := h.PutClosed(t.Context(), "team-a", "e", limit.Closed{Minute: 100 + i, From: 100 + i}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadingTheHistorySurvivesABusyMoment(t *testing.T) {
	h, w := history(t)
	fill(t, h, 2)
	busy := 2
	w.struck = func(r *http.Request) *http.Response {
		if busy--; busy < 0 {
			return nil
		}
		return &http.Response{StatusCode: http.StatusServiceUnavailable, Request: r, Header: http.Header{}, Body: http.NoBody}
	}
	rows := 0
	for _, err := range h.Rows(t.Context(), usage.Query{Counter: "team-a"}) {
		if err != nil {
			t.Fatal(err)
		}
		rows++
	}
	if rows != 2 || busy >= 0 {
		t.Errorf("after two busy answers: got %d rows and %d busy answers left, want 2 and 0", rows, max(busy, 0))
	}
}

func TestTwoHousekeepersDoNotHinderEachOther(t *testing.T) {
	table := "usage" + rand.Text()
	h, w := historyIn(t, table)
	other, _ := historyIn(t, table)
	fill(t, h, 3)
	w.struck = func(r *http.Request) *http.Response {
		if strings.HasSuffix(r.URL.Path, "$batch") { // the other deletes one row first
			w.struck = nil
			if n, err := other.DeleteBefore(t.Context(), time.Unix(101*60, 0)); n != 1 || err != nil {
				t.Errorf("the other's DeleteBefore: got %d, %v; want 1, no error", n, err)
			}
		}
		return nil
	}
	if n, err := h.DeleteBefore(t.Context(), time.Now()); n != 2 || err != nil {
		t.Errorf("DeleteBefore: got %d, %v; want the 2 that the other left, no error", n, err)
	}
	for row := range h.Rows(t.Context(), usage.Query{}) {
		t.Errorf("after DeleteBefore: got row %+v, want none", row)
	}
}
