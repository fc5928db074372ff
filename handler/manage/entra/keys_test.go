package entra_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tollgate/handler/manage"
	"tollgate/handler/manage/entra"
)

// A fakeIssuer is an issuer's server as a transport, so that tests can use virtual time.
type fakeIssuer struct {
	mu       sync.Mutex
	keys     map[string]*ecdsa.PrivateKey // by kid
	delay    time.Duration                // before it answers with the keys; negative: it never answers
	down     bool
	keyReads atomic.Int64 // for the keys
}

const publisher = "https://issuer.example.com"

func newFakeIssuer(t *testing.T) *fakeIssuer {
	p := &fakeIssuer{keys: make(map[string]*ecdsa.PrivateKey)}
	p.publish(t, "k1")
	return p
}

func (p *fakeIssuer) publish(t *testing.T, kid string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys[kid] = key
}

func (p *fakeIssuer) change(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *fakeIssuer) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	answer := func(status int, body any) (*http.Response, error) {
		text, err := json.Marshal(body)
		return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: make(http.Header), Body: io.NopCloser(strings.NewReader(string(text))), Request: r}, err
	}
	if r.URL.Path != "/keys" {
		return answer(http.StatusOK, map[string]string{"issuer": publisher, "jwks_uri": publisher + "/keys"})
	}
	p.keyReads.Add(1)
	takes := p.delay
	p.mu.Unlock()
	answered := time.After(takes)
	if takes < 0 {
		answered = nil
	}
	select {
	case <-answered:
	case <-r.Context().Done():
		p.mu.Lock()
		return nil, r.Context().Err()
	}
	p.mu.Lock()
	if p.down {
		return answer(http.StatusServiceUnavailable, nil)
	}
	all := []map[string]string{{"kty": "OKP", "crv": "Ed448", "kid": "of another kind", "x": "AA"}, {"kty": "RSA", "kid": "broken"}}
	for kid, key := range p.keys {
		point, err := key.PublicKey.Bytes() // 4, then X and Y
		if err != nil {
			return nil, err
		}
		encode := base64.RawURLEncoding.EncodeToString
		all = append(all, map[string]string{"kty": "EC", "crv": "P-256", "use": "sig", "kid": kid, "x": encode(point[1:33]), "y": encode(point[33:])})
	}
	return answer(http.StatusOK, map[string]any{"keys": all})
}

// token returns an operator's token signed with key, which kid need not name.
func (p *fakeIssuer) token(t *testing.T, kid string, key *ecdsa.PrivateKey) string {
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": publisher, "aud": "api://tollgate", "exp": time.Now().Add(48 * time.Hour).Unix(),
		"oid": "o-1", "scp": "access_as_user", "roles": []string{"Tollgate.Admin"}})
	token.Header["kid"] = kid
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// signedToken returns an operator's token signed with the published key kid.
func (p *fakeIssuer) signedToken(t *testing.T, kid string) string {
	p.mu.Lock()
	key := p.keys[kid]
	p.mu.Unlock()
	return p.token(t, kid, key)
}

func (p *fakeIssuer) verifier() *entra.Verifier {
	return entra.New(entra.Settings{Issuer: publisher, Audience: "api://tollgate", Role: "Tollgate.Admin"},
		&http.Client{Transport: p}, slog.New(slog.DiscardHandler))
}

// TestANewSigningKeyIsAcceptedWithItsFirstToken if the issuer answers within 5 s.
func TestANewSigningKeyIsAcceptedWithItsFirstToken(t *testing.T) {
	for _, takes := range []time.Duration{0, 20 * time.Millisecond, time.Second, 4900 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			p := newFakeIssuer(t)
			p.delay = takes
			v := p.verifier()
			if _, err := v.Authenticate(t.Context(), p.signedToken(t, "k1")); err != nil {
				t.Fatalf("first key, an issuer that takes %s: got %v, want no error", takes, err)
			}
			time.Sleep(time.Minute)
			p.publish(t, "k2")
			began := time.Now()
			if _, err := v.Authenticate(t.Context(), p.signedToken(t, "k2")); err != nil || time.Since(began) > takes+time.Second {
				t.Errorf("new key, an issuer that takes %s: got %v after %s, want it accepted within a second of the issuer's answer", takes, err, time.Since(began))
			}
			if _, err := v.Authenticate(t.Context(), p.signedToken(t, "k1")); err != nil {
				t.Errorf("the older key: got %v, want it accepted", err)
			}
			if n := p.keyReads.Load(); n != 2 {
				t.Errorf("the keys: got %d readings, want 2", n)
			}
		})
	}
}

// TestTokensWithUnknownKeysCauseOneReadingIn10Seconds. A new key is still accepted
// within 10 s of its first token, and known keys don't wait.
func TestTokensWithUnknownKeysCauseOneReadingIn10Seconds(t *testing.T) {
	for _, takes := range []time.Duration{0, 20 * time.Millisecond, time.Second, 4 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			p := newFakeIssuer(t)
			p.delay = takes
			v := p.verifier()
			if _, err := v.Authenticate(t.Context(), p.signedToken(t, "k1")); err != nil {
				t.Fatal(err)
			}
			unknown, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var all sync.WaitGroup
			for i := range 5 {
				token := p.token(t, fmt.Sprintf("unknown-%d", i), unknown)
				all.Go(func() {
					for ctx.Err() == nil {
						if who, err := v.Authenticate(ctx, token); err == nil {
							t.Errorf("a token with an unknown key: got it accepted as %q, want an error", who)
						}
						time.Sleep(100 * time.Millisecond)
					}
				})
			}
			began, before := time.Now(), p.keyReads.Load()
			time.Sleep(33 * time.Second)
			p.publish(t, "k2")
			token, published := p.signedToken(t, "k2"), time.Now()
			for {
				if _, err := v.Authenticate(t.Context(), token); err == nil {
					break
				}
				if time.Since(published) > time.Minute {
					t.Fatalf("an issuer that takes %s: got the new key refused for a minute, want it accepted", takes)
				}
				time.Sleep(100 * time.Millisecond)
			}
			if after := time.Since(published); after > 10*time.Second+takes+200*time.Millisecond {
				t.Errorf("an issuer that takes %s: got the new key accepted after %s, want at most 10s and the issuer's time", takes, after)
			}
			known := time.Now()
			if _, err := v.Authenticate(t.Context(), p.signedToken(t, "k1")); err != nil || time.Since(known) > 0 {
				t.Errorf("a known key: got %v after %s, want it accepted at once", err, time.Since(known))
			}
			n := p.keyReads.Load() - before
			if most := int64(time.Since(began)/(10*time.Second)) + 1; n > most {
				t.Errorf("an issuer that takes %s: got %d readings of the keys in %s, want at most %d", takes, n, time.Since(began), most)
			}
			stop()
			all.Wait()
		})
	}
}

// TestAHangingOrFailingIssuerDelaysNewKeysOnly, by at most 5 s. It is asked at most every
// 10 s, and no token is refused because of it.
func TestAHangingOrFailingIssuerDelaysNewKeysOnly(t *testing.T) {
	for name, trouble := range map[string]func(*fakeIssuer){"hangs": func(p *fakeIssuer) { p.delay = -1 }, "fails": func(p *fakeIssuer) { p.down = true }} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newFakeIssuer(t)
				v := p.verifier()
				if _, err := v.Authenticate(t.Context(), p.signedToken(t, "k1")); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				p.publish(t, "k2")
				p.change(func() { trouble(p) })
				token, before, began := p.signedToken(t, "k2"), p.keyReads.Load(), time.Now()
				for range 100 {
					asked := time.Now()
					if _, err := v.Authenticate(t.Context(), token); err == nil || errors.Is(err, manage.ErrUnauthorized) || errors.Is(err, manage.ErrForbidden) || time.Since(asked) > 5*time.Second {
						t.Fatalf("a new key: got %v after %s, want an error other than ErrUnauthorized and ErrForbidden within 5s", err, time.Since(asked))
					}
					if _, err := v.Authenticate(t.Context(), p.signedToken(t, "k1")); err != nil {
						t.Fatalf("a known key: got %v, want it accepted", err)
					}
					time.Sleep(300 * time.Millisecond)
				}
				if n, most := p.keyReads.Load()-before, int64(time.Since(began)/(10*time.Second))+1; n > most {
					t.Errorf("got %d readings of the keys in %s, want at most %d", n, time.Since(began), most)
				}
				p.change(func() { p.delay, p.down = 0, false })
				time.Sleep(10 * time.Second)
				if _, err := v.Authenticate(t.Context(), token); err != nil {
					t.Errorf("issuer back: got %v, want the token accepted", err)
				}
			})
		})
	}
}

// TestAWithdrawnKeyIsRefusedAfterAnHour. If the issuer is unreachable, keys
// are used for a day.
func TestAWithdrawnKeyIsRefusedAfterAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakeIssuer(t)
		p.publish(t, "k2")
		v := p.verifier()
		first, second := p.signedToken(t, "k1"), p.signedToken(t, "k2")
		if _, err := v.Authenticate(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		p.change(func() { delete(p.keys, "k2") })
		time.Sleep(time.Hour)
		if _, err := v.Authenticate(t.Context(), second); !errors.Is(err, manage.ErrUnauthorized) {
			t.Errorf("a key withdrawn an hour ago: got %v, want ErrUnauthorized", err)
		}
		p.change(func() { p.down = true })
		time.Sleep(23 * time.Hour)
		if _, err := v.Authenticate(t.Context(), first); err != nil {
			t.Errorf("issuer down for 23 hours: got %v, want the key accepted", err)
		}
		time.Sleep(time.Hour + time.Minute)
		if _, err := v.Authenticate(t.Context(), first); err == nil || errors.Is(err, manage.ErrUnauthorized) {
			t.Errorf("issuer down for a day: got %v, want an error other than ErrUnauthorized", err)
		}
	})
}

func TestKeysAreReadOnlyWhenTokensArrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakeIssuer(t)
		p.down = true
		v := p.verifier()
		if _, err := v.Authenticate(t.Context(), p.signedToken(t, "k1")); err == nil || p.keyReads.Load() != 1 {
			t.Fatalf("got error %v after %d readings, want an error after 1", err, p.keyReads.Load())
		}
		time.Sleep(3 * time.Hour)
		if n := p.keyReads.Load(); n != 1 {
			t.Errorf("the keys: got %d readings, want 1", n)
		}
	})
}
