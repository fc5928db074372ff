package fakemodel

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A store holds an endpoint's responses. The zero value is empty. As with real
// endpoints, no other endpoint has them, or can read the reasoning that this one encrypted.
type store struct {
	mu        sync.Mutex
	responses map[string]*storedEntry
	secret    string
}

// storedEntry is a stored response.
type storedEntry struct {
	format    *responseFormat
	ready     time.Time // when a background response is complete
	cancelled bool
}

// keep stores a response that is completed after a time.
func (s *store) keep(f *responseFormat, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.responses == nil {
		s.responses = make(map[string]*storedEntry)
	}
	s.responses[f.id] = &storedEntry{format: f, ready: time.Now().Add(after)}
}

func (s *store) get(id string) *storedEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.responses[id]
}

func (s *store) has(id string) bool { return s.get(id) != nil }

// conversationTokens returns the tokens of a conversation that ends in a response; 0 without one.
func (s *store) conversationTokens(id string) int64 {
	if k := s.get(id); k != nil {
		return k.format.prompt + k.format.completion()
	}
	return 0
}

// encryptedPrefix begins all encrypted reasoning, as it does Fernet's tokens.
const encryptedPrefix = "gAAAA"

// encryptionPrefix returns the prefix that tells this endpoint's encrypted reasoning from
// others'.
func (s *store) encryptionPrefix() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secret == "" {
		s.secret = rand.Text()
	}
	return encryptedPrefix + s.secret
}

// encryptedHere reports whether this endpoint encrypted all the encrypted reasoning in an
// input.
func (s *store) encryptedHere(input []byte) bool {
	seal := s.encryptionPrefix()
	for _, after := range bytes.Split(input, []byte(`"encrypted_content":"`+encryptedPrefix))[1:] {
		if !bytes.HasPrefix(after, []byte(strings.TrimPrefix(seal, encryptedPrefix))) {
			return false
		}
	}
	return true
}

// findStored returns the stored response that the path names, or answers 404.
func (c *call) findStored() *storedEntry {
	k := c.e.stored.get(c.id)
	if k == nil {
		c.send(http.StatusNotFound, object("error", object("message", "Response with id '"+c.id+"' not found.", "type", "invalid_request_error", "param", nil, "code", nil)))
	}
	return k
}

// object returns a response as it is now.
func (s *store) object(k *storedEntry) json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case k.cancelled:
		return k.format.object("cancelled", nil, nil)
	case time.Now().Before(k.ready):
		return k.format.object("in_progress", nil, nil)
	}
	return k.format.ended()
}

func (c *call) storedResponse() {
	if k := c.findStored(); k != nil {
		c.send(http.StatusOK, c.e.stored.object(k))
	}
}

func (c *call) deleteResponse() {
	if c.findStored() == nil {
		return
	}
	c.e.stored.mu.Lock()
	delete(c.e.stored.responses, c.id)
	c.e.stored.mu.Unlock()
	c.send(http.StatusOK, object("id", c.id, "object", "response", "deleted", true))
}

func (c *call) cancelResponse() {
	k := c.findStored()
	if k == nil {
		return
	}
	if !k.format.request.Background {
		c.failField("", "invalid_request", "Cannot cancel a synchronous response.")
		return
	}
	c.e.stored.mu.Lock()
	k.cancelled = time.Now().Before(k.ready)
	c.e.stored.mu.Unlock()
	c.send(http.StatusOK, c.e.stored.object(k))
}

func (c *call) inputItems() {
	if k := c.findStored(); k != nil {
		items := k.format.request.items()
		c.send(http.StatusOK, object("object", "list", "data", items, "first_id", idOf(items[0]), "last_id", idOf(items[len(items)-1]), "has_more", false))
	}
}

func idOf(item json.RawMessage) (id any) {
	var named struct{ ID string }
	if json.Unmarshal(item, &named) == nil && named.ID != "" {
		return named.ID
	}
	return nil
}
