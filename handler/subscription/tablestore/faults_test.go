package tablestore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/local/azurite"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/subscription/tablestore"
)

// A fault changes what becomes of one request.
type fault struct {
	method string // the method of the request
	sent   bool   // the request reaches the service
	status int    // the status of the answer; 0: the connection breaks
	silent bool   // no answer ever comes
}

// faultyTransport sends requests to the emulator and injects the next fault whose
// method matches.
type faultyTransport struct {
	mu       sync.Mutex
	faults   []fault
	injected int
}

func (w *faultyTransport) Do(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	var next *fault
	if len(w.faults) > 0 && w.faults[0].method == r.Method {
		next, w.faults = &w.faults[0], w.faults[1:]
		w.injected++
	}
	w.mu.Unlock()
	if next == nil {
		return http.DefaultClient.Do(r)
	}
	if next.silent {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if next.sent {
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return nil, err
		}
		response.Body.Close()
	}
	if next.status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{StatusCode: next.status, Status: http.StatusText(next.status), Request: r, Header: http.Header{}, Body: http.NoBody}, nil
}

// openFaulty returns a new store over a faultyTransport.
func openFaulty(t *testing.T) (*tablestore.Store, *faultyTransport) {
	t.Helper()
	w := &faultyTransport{}
	service, err := aztables.NewServiceClientFromConnectionString(azurite.Shared(t), &aztables.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: w, Retry: policy.RetryOptions{MaxRetries: -1}}})
	if err != nil {
		t.Fatal(err)
	}
	return tablestore.New(service, newTableNames()), w
}

// A lost answer makes the store repeat a change that may have been applied already. It must
// not take that for a conflict with another change.
func TestAChangeSucceedsOnceEvenIfItsAnswerIsLost(t *testing.T) {
	for name, f := range map[string]fault{
		"the connection breaks before the request":  {},
		"the connection breaks after the request":   {sent: true},
		"the service is busy":                       {status: http.StatusServiceUnavailable},
		"a change is applied and answered with 500": {status: http.StatusInternalServerError, sent: true},
		"the service throttles":                     {status: http.StatusTooManyRequests},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			store, w := openFaulty(t)
			inject := func(method string) {
				f.method = method
				w.faults = append(w.faults, f)
			}
			if _, err := store.PutTier(ctx, subscription.Tier{ID: "first"}); err != nil { // creates the table
				t.Fatal(err)
			}
			inject(http.MethodPost)
			version, err := store.PutTier(ctx, subscription.Tier{ID: "t", Rules: subscriptiontest.Tokens(1)})
			if err != nil {
				t.Fatalf("insert: got %v, want no error", err)
			}
			inject(http.MethodPut)
			second, err := store.PutTier(ctx, subscription.Tier{ID: "t", Rules: subscriptiontest.Tokens(2), Version: version})
			if err != nil {
				t.Fatalf("replace: got %v, want no error", err)
			}
			inject(http.MethodGet)
			if got, err := store.Tier(ctx, "t"); err != nil || got.Limits[0].PerMinute != 2 || got.Version != second {
				t.Errorf("read: got %+v, %v; want 2 tokens a minute, version %d", got, err, second)
			}
			inject(http.MethodGet)
			if all, err := store.Tiers(ctx); err != nil || len(all) != 2 {
				t.Errorf("list: got %v, %v; want 2 tiers", all, err)
			}
			if err := store.PutKey(ctx, subscription.KeyRecord{Hash: "h", Subscription: "s"}); err != nil {
				t.Fatal(err)
			}
			inject(http.MethodDelete)
			if err := store.DeleteKey(ctx, "h"); err != nil {
				t.Errorf("delete: got %v, want no error", err)
			}
			if w.injected != 5 {
				t.Errorf("got %d faults injected, want 5", w.injected)
			}
		})
	}
}

func TestALostAnswerDoesNotHideAConflict(t *testing.T) {
	ctx := t.Context()
	store, w := openFaulty(t)
	version, err := store.PutTier(ctx, subscription.Tier{ID: "t", Rules: subscriptiontest.Tokens(1)})
	if err != nil {
		t.Fatal(err)
	}
	w.faults = []fault{{method: http.MethodPost}}
	if _, err := store.PutTier(ctx, subscription.Tier{ID: "t", Rules: subscriptiontest.Tokens(9)}); !errors.Is(err, subscription.ErrExists) {
		t.Errorf("insert an existing tier: got %v, want ErrExists", err)
	}
	if got, err := store.Tier(ctx, "t"); err != nil || got.Limits[0].PerMinute != 1 || got.Version != version {
		t.Errorf("read: got %+v, %v; want 1 token a minute, version %d", got, err, version)
	}
}

func TestA404WithoutTheServicesErrorCodeIsNotErrNotFound(t *testing.T) {
	for _, status := range []int{http.StatusNotFound, http.StatusConflict, http.StatusForbidden, http.StatusServiceUnavailable} {
		store, w := openFaulty(t)
		w.faults = []fault{{method: http.MethodGet, status: status}, {method: http.MethodGet, status: status}, {method: http.MethodGet, status: status}}
		_, err := store.Key(context.Background(), "canary-hash")
		if err == nil || errors.Is(err, subscription.ErrNotFound) || errors.Is(err, subscription.ErrExists) || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("a proxy answers %d: got error %v, want one naming the status, not ErrNotFound or ErrExists", status, err)
		}
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("got error %v, want no hash in it", err)
		}
	}
}

func TestConcurrentTierChangesLoseNothing(t *testing.T) {
	store, _, _ := open(t)
	registry := subscription.Registry{Store: store}
	raise := func(tier *subscription.Tier) error {
		before := subscription.Limit{}
		if len(tier.Limits) > 0 {
			before = tier.Limits[0]
		}
		tier.TokensPerMinute = new(before.PerMinute + 10)
		return nil
	}
	if _, err := registry.SetTier(t.Context(), "t", raise); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		all.Go(func() { _, errs[i] = registry.SetTier(t.Context(), "t", raise) })
	}
	all.Wait()
	want := int64(10)
	for _, err := range errs {
		if err == nil {
			want += 10
		} else if !errors.Is(err, subscription.ErrConflict) {
			t.Errorf("a concurrent change: got error %v, want none or ErrConflict", err)
		}
	}
	if got, err := store.Tier(t.Context(), "t"); err != nil || got.Limits[0].PerMinute != want {
		t.Errorf("got %d tokens a minute, %v; want %d", got.Limits[0].PerMinute, err, want)
	}
}

func TestALookUpSucceedsAlthoughOneReadIsNeverAnswered(t *testing.T) {
	ctx := t.Context()
	store, w := openFaulty(t)
	key := subscriptiontest.Seed(t, store, subscription.Tier{ID: "gold", Rules: subscriptiontest.Tokens(300)}, "a")
	w.mu.Lock()
	w.faults = []fault{{method: http.MethodGet, silent: true}} // the read of the key
	w.mu.Unlock()
	if grant, err := subscriptiontest.Directory(t, store).Authenticate(ctx, key); err != nil || grant.Subscription.ID != "a" {
		t.Errorf("Authenticate: got %+v, %v; want subscription a", grant, err)
	}
	if w.injected != 1 {
		t.Errorf("got %d reads without an answer, want 1", w.injected)
	}
}
