package tablestore_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/lease"
	"tollgate/handler/limit"
)

func TestEachAnswerOfTheServiceHasItsTime(t *testing.T) {
	store, _, _ := openWired(t)
	row := lease.New(limit.Limits{PerMinute: 300, Version: 1}, time.Now(), "epoch")
	check := func(doing string, date time.Time, err, want error) {
		t.Helper()
		if age := time.Since(date); age < -time.Second || age > time.Minute {
			t.Errorf("%s: got the time %v, want one of the last minute", doing, date)
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", doing, err, want)
		}
	}
	_, _, date, err := store.Load(t.Context(), "team-a")
	check("read from a missing table", date, err, counter.ErrNotFound)
	version, date, err := store.Swap(t.Context(), "team-a", row, "")
	check("insert", date, err, nil)
	_, date, err = store.Swap(t.Context(), "team-a", row, version)
	check("write", date, err, nil)
	_, date, err = store.Swap(t.Context(), "team-a", row, version)
	check("write an older version", date, err, counter.ErrConflict)
	_, _, date, err = store.Load(t.Context(), "team-a")
	check("read", date, err, nil)
}

// The proxy, or a captive portal, answers with any status. None of its answers says anything
// about the row or the time.
func TestAProxysAnswersAreErrorsWithoutATime(t *testing.T) {
	store, w, _ := openWired(t)
	row := lease.New(limit.Limits{PerMinute: 300, Version: 1}, time.Now(), "epoch")
	version, _, err := store.Swap(t.Context(), "team-a", row, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{200, 204, 302, 404, 407, 412, 502, 503, 511} {
		w.answer = func(r *http.Request) *http.Response {
			header := http.Header{"Date": {"Fri, 01 Jan 2100 00:00:00 GMT"}, "Etag": {`"x"`}, "Content-Type": {"text/html"}, "Server": {"Zscaler/6.2"}}
			return &http.Response{StatusCode: status, Request: r, Header: header, Body: io.NopCloser(strings.NewReader("<html>Sign in</html>"))}
		}
		check := func(doing string, date time.Time, err error) {
			t.Helper()
			if !date.IsZero() {
				t.Errorf("a proxy's %d to a %s: got the time %v, want none", status, doing, date)
			}
			if err == nil || errors.Is(err, counter.ErrNotFound) || errors.Is(err, counter.ErrConflict) || errors.Is(err, counter.ErrEdited) {
				t.Errorf("a proxy's %d to a %s: got %v, want an error that is none of ErrNotFound, ErrConflict and ErrEdited", status, doing, err)
			}
		}
		_, _, date, err := store.Load(t.Context(), "team-a")
		check("read", date, err)
		_, date, err = store.Swap(t.Context(), "team-a", row, version)
		check("write", date, err)
		_, date, err = store.Swap(t.Context(), "team-b", row, "")
		check("insert", date, err)
	}
}
