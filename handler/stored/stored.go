// Package stored remembers which subscription made each response that an endpoint keeps,
// and which endpoint has it. Endpoints keep the responses of all callers under one account,
// in which anybody who knows an id could read, continue or delete them; Tollgate lets only
// the subscription that made a response name it. Responses has a row of the store for each
// response, and keeps the latest in memory.
//
// Start reading at [Responses].
package stored

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Retention is the longest time that an endpoint keeps a response. After that its owner
// need not be remembered.
// Source: https://learn.microsoft.com/azure/ai-foundry/openai/how-to/responses
const Retention = 30 * 24 * time.Hour

// A Response says who made a stored response, and where it is. It never changes.
type Response struct {
	// ID is the endpoint's id for it. It must be WellFormed.
	ID string
	// Subscription is the ID of the subscription that made it.
	Subscription string
	// Endpoint is the name of the endpoint that keeps it.
	Endpoint string
	// Model is callers' name for the model that wrote it.
	Model string
	// Tokens is what the call that made it was charged, for prompt and completion. A model
	// that continues it reads no more than that of it and of the responses before it.
	Tokens int64
	// Created is when it was made.
	Created time.Time
}

// Expired reports whether an endpoint no longer keeps the response.
func (r Response) Expired(now time.Time) bool { return now.Sub(r.Created) > Retention }

// maxID is the longest id, in bytes. OpenAI's have 53.
const maxID = 128

// WellFormed reports whether an id can be one of a response: letters, digits, dashes and
// underscores. Others aren't looked up, nor put into a path.
func WellFormed(id string) bool {
	if id == "" || len(id) > maxID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

var (
	// ErrUnknown means that the store has no such response, or that it isn't the caller's;
	// callers must not learn which.
	ErrUnknown = errors.New("unknown response")
	// ErrTaken means that another subscription's response has the id.
	ErrTaken = errors.New("the id belongs to another subscription's response")
)

// Store keeps responses until they expire.
type Store interface {
	// Put adds a response, in one operation. Putting the same response again changes
	// nothing. If another subscription's response has the id, the error is ErrTaken.
	Put(ctx context.Context, r Response) error
	// Get returns a response that was made at most Retention before now, or ErrUnknown.
	Get(ctx context.Context, id string, now time.Time) (Response, error)
	// DeleteExpired deletes responses that Get no longer returns, and returns how many. It
	// may leave some for a later call.
	DeleteExpired(ctx context.Context, now time.Time) (int, error)
}

const (
	// maxInMemory is the most responses that Responses keeps in memory.
	maxInMemory = 8192
	// storeTimeout bounds an operation of the store, with its retries: the end of an answer
	// waits for one.
	storeTimeout = 5 * time.Second
)

// Responses records responses and finds them again. It keeps the latest in memory, so that
// a conversation with one instance reads nothing from the store. Make one with New.
type Responses struct {
	store Store

	mu               sync.Mutex
	latest, previous map[string]Response // previous is the latest of before it was last emptied
}

// New returns Responses in a store.
func New(store Store) *Responses { return &Responses{store: store} }

// Record records who made a response. If it returns an error, nobody can name the response.
func (s *Responses) Record(ctx context.Context, r Response) error {
	if !WellFormed(r.ID) {
		return errors.New("the response's id is not well-formed")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout) // the caller may leave
	defer cancel()
	if err := s.store.Put(ctx, r); err != nil {
		return fmt.Errorf("record a response: %w", err)
	}
	s.remember(r)
	return nil
}

// Find returns a response that a subscription made. It returns ErrUnknown for a response
// that it didn't make, whoever did. Any other error is the store's.
func (s *Responses) Find(ctx context.Context, subscription, id string) (Response, error) {
	if !WellFormed(id) {
		return Response{}, ErrUnknown
	}
	now := time.Now()
	found, known := s.recall(id)
	if !known {
		var err error
		ctx, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		if found, err = s.store.Get(ctx, id, now); errors.Is(err, ErrUnknown) {
			return Response{}, ErrUnknown
		} else if err != nil {
			return Response{}, fmt.Errorf("find a response: %w", err)
		}
		s.remember(found)
	}
	if found.Subscription != subscription || found.Expired(now) {
		return Response{}, ErrUnknown
	}
	return found, nil
}

// recall returns a response that is in memory, and whether it is.
func (s *Responses) recall(id string) (found Response, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found, known = s.latest[id]; !known {
		found, known = s.previous[id]
	}
	return found, known
}

// remember keeps a response in memory. When half of the room is used, it forgets the
// responses from before it last did so.
func (s *Responses) remember(r Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.latest == nil || len(s.latest) >= maxInMemory/2 {
		s.latest, s.previous = make(map[string]Response), s.latest
	}
	s.latest[r.ID] = r
}
