package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
)

// TestAWrongPepperIsReportedOnStderr also when the tables can't be reached at first.
func TestAWrongPepperIsReportedOnStderr(t *testing.T) {
	right, e1 := subscription.NewPepper("canary-0123456789abcdef")
	wrong, e2 := subscription.NewPepper("canary-fedcba9876543210")
	if err := errors.Join(e1, e2); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		start := func(pepper subscription.Pepper) (log, stderr string) {
			var lines, errs bytes.Buffer
			claimPepper(t.Context(), store, pepper, slog.New(slog.NewJSONHandler(&lines, nil)), &errs)
			return lines.String(), errs.String()
		}
		if log, stderr := start(right); log+stderr != "" {
			t.Errorf("the first start: got %s%s printed, want nothing", log, stderr)
		}
		if err := store.PutKey(t.Context(), subscription.KeyRecord{Hash: right.Hash(subscription.NewKey())}); err != nil {
			t.Fatal(err)
		}
		if log, stderr := start(right); log+stderr != "" {
			t.Errorf("a start with the same pepper: got %s%s printed, want nothing", log, stderr)
		}
		store.Fail(errors.New("down"))
		time.AfterFunc(5*time.Minute, func() { store.Fail(nil) })
		log, stderr := start(wrong)
		if !strings.Contains(log, `"level":"ERROR"`) || !strings.Contains(stderr, "refuses every key: KEY_PEPPER is not the one") || strings.Contains(log+stderr, "canary") {
			t.Errorf("a start with another pepper: got %s logged and %s printed, want an error in both, without the peppers", log, stderr)
		}
		store.Fail(errors.New("down"))
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, stop)
		claimPepper(ctx, store, right, slog.New(slog.DiscardHandler), &bytes.Buffer{}) // returns when ctx is done
	})
}
