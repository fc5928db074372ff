package stored_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tollgate/handler/stored"
	"tollgate/handler/stored/memstore"
)

// counted is a store in memory that counts its operations, and fails while down.
type counted struct {
	mu   sync.Mutex
	ops  map[string]int
	down error
}

func (c *counted) fault(operation string) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ops == nil {
		c.ops = make(map[string]int)
	}
	c.ops[operation]++
	return false, c.down
}

func made(id, subscription string) stored.Response {
	return stored.Response{ID: id, Subscription: subscription, Endpoint: "reserved", Created: time.Now()}
}

func record(t *testing.T, s *stored.Responses, r stored.Response) {
	t.Helper()
	if err := s.Record(t.Context(), r); err != nil {
		t.Fatalf("record %s: got error %v, want none", r.ID, err)
	}
}

func TestOnlyTheSubscriptionThatMadeAResponseFindsIt(t *testing.T) {
	var ops counted
	store := memstore.New(ops.fault)
	here, elsewhere := stored.New(store), stored.New(store)
	record(t, here, made("resp_1", "acme"))
	for name, s := range map[string]*stored.Responses{"the instance that made it": here, "another instance": elsewhere} {
		if found, err := s.Find(t.Context(), "acme", "resp_1"); err != nil || found.Endpoint != "reserved" {
			t.Errorf("%s: its owner got %v, %v; want the response", name, found, err)
		}
		for _, other := range []string{"globex", "", "ACME", "acme2"} {
			if found, err := s.Find(t.Context(), other, "resp_1"); !errors.Is(err, stored.ErrUnknown) || found != (stored.Response{}) {
				t.Errorf("%s: %q got %v, %v; want nothing and ErrUnknown", name, other, found, err)
			}
		}
		if _, err := s.Find(t.Context(), "acme", "resp_2"); err != stored.ErrUnknown {
			t.Errorf("%s: got error %v for an id that nobody has, want the same ErrUnknown", name, err)
		}
	}
}

func TestAConversationAtOneInstanceReadsNothing(t *testing.T) {
	var ops counted
	s := stored.New(memstore.New(ops.fault))
	for i := range 50 {
		id := fmt.Sprint("resp_", i)
		record(t, s, made(id, "acme"))
		if _, err := s.Find(t.Context(), "acme", id); err != nil {
			t.Fatal(err)
		}
	}
	if ops.ops["put"] != 50 || ops.ops["get"] != 0 {
		t.Errorf("got %v operations for 50 responses, each named once, want 50 put and no get", ops.ops)
	}
}

func TestMemoryIsBoundedAndOlderResponsesAreReadFromTheStore(t *testing.T) {
	var ops counted
	s := stored.New(memstore.New(ops.fault))
	for i := range 20_000 {
		record(t, s, made(fmt.Sprint("resp_", i), "acme"))
	}
	for _, id := range []string{"resp_19999", "resp_16500", "resp_0"} {
		if _, err := s.Find(t.Context(), "acme", id); err != nil {
			t.Errorf("%s: got error %v, want the response", id, err)
		}
	}
	if ops.ops["get"] != 1 {
		t.Errorf("got %d readings, want 1, for the oldest", ops.ops["get"])
	}
}

func TestAResponseIsNotFoundAfterItsRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := stored.New(memstore.New(nil))
		record(t, s, made("resp_1", "acme"))
		time.Sleep(stored.Retention)
		if _, err := s.Find(t.Context(), "acme", "resp_1"); err != nil {
			t.Errorf("got error %v on the last day, want the response", err)
		}
		time.Sleep(time.Second)
		if _, err := s.Find(t.Context(), "acme", "resp_1"); !errors.Is(err, stored.ErrUnknown) {
			t.Errorf("got error %v after 30 days, want ErrUnknown", err)
		}
	})
}

// Otherwise a caller would get a 404 for a response that exists, and start all over.
func TestAStoreThatIsDownIsNotAnUnknownResponse(t *testing.T) {
	ops := counted{down: errors.New("down")}
	s := stored.New(memstore.New(ops.fault))
	if err := s.Record(t.Context(), made("resp_1", "acme")); !errors.Is(err, ops.down) {
		t.Errorf("record: got error %v, want the store's", err)
	}
	if _, err := s.Find(t.Context(), "acme", "resp_1"); !errors.Is(err, ops.down) || errors.Is(err, stored.ErrUnknown) {
		t.Errorf("find: got error %v, want the store's", err)
	}
	ops.down = nil
	if _, err := s.Find(t.Context(), "acme", "resp_1"); !errors.Is(err, stored.ErrUnknown) {
		t.Errorf("a response that could not be recorded: got error %v, want ErrUnknown", err)
	}
}

func TestACallerThatHasLeftKeepsItsResponse(t *testing.T) {
	s := stored.New(memstore.New(nil))
	ctx, leave := context.WithCancel(t.Context())
	leave()
	if err := s.Record(ctx, made("resp_1", "acme")); err != nil {
		t.Errorf("got error %v, want none", err)
	}
	if _, err := s.Find(t.Context(), "acme", "resp_1"); err != nil {
		t.Errorf("got error %v, want the response", err)
	}
}

func TestATakenIdStaysWithItsOwner(t *testing.T) {
	store := memstore.New(nil)
	first, second := stored.New(store), stored.New(store)
	record(t, first, made("resp_1", "acme"))
	if err := second.Record(t.Context(), made("resp_1", "globex")); !errors.Is(err, stored.ErrTaken) {
		t.Errorf("got error %v, want ErrTaken", err)
	}
	if _, err := second.Find(t.Context(), "globex", "resp_1"); !errors.Is(err, stored.ErrUnknown) {
		t.Errorf("got error %v for the second, want ErrUnknown", err)
	}
}

func TestIdsThatCanNotBeAResponsesAreNotLookedUp(t *testing.T) {
	var ops counted
	s := stored.New(memstore.New(ops.fault))
	for _, id := range []string{"", "a/b", "../x", "a b", "ä", "a'b", "a?b", "a#b", "a\x00", "%2e%2e", ".", strings.Repeat("a", 129)} {
		if _, err := s.Find(t.Context(), "acme", id); !errors.Is(err, stored.ErrUnknown) {
			t.Errorf("find %q: got error %v, want ErrUnknown", id, err)
		}
		if err := s.Record(t.Context(), made(id, "acme")); err == nil || id != "" && strings.Contains(err.Error(), id) {
			t.Errorf("record %q: got error %v, want one that doesn't quote it", id, err)
		}
	}
	if len(ops.ops) != 0 {
		t.Errorf("got operations %v, want none", ops.ops)
	}
}
