package entra_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"tollgate/handler/manage"
	"tollgate/handler/manage/entra"
)

// An issuer publishes keys like Entra ID and signs tokens.
type issuer struct {
	*httptest.Server
	key      *rsa.PrivateKey
	kid      string
	keyReads atomic.Int64 // for its keys
	down     atomic.Bool
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key, kid: "k1"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /tenant/v2.0/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		if i.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.name(), "jwks_uri": i.URL + "/keys"})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		i.keyReads.Add(1)
		encode := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "use": "sig", "kid": "k1", "n": encode(i.key.N), "e": encode(big.NewInt(int64(i.key.E)))}}})
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) name() string { return i.URL + "/tenant/v2.0" }

// token returns a signed token with valid claims, except for changes; nil removes a claim.
func (i *issuer) token(t *testing.T, changes map[string]any) string {
	t.Helper()
	return i.signed(t, nil, changes)
}

// signed is token with additional header fields.
func (i *issuer) signed(t *testing.T, header, changes map[string]any) string {
	t.Helper()
	claims := jwt.MapClaims{"iss": i.name(), "aud": "api://tollgate", "exp": time.Now().Add(time.Hour).Unix(), "nbf": time.Now().Add(-time.Minute).Unix(),
		"oid": "o-1", "preferred_username": "ann@example.com", "scp": "access_as_user", "roles": []string{"Other", "Tollgate.Admin"}}
	for name, value := range changes {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = i.kid
	maps.Copy(token.Header, header)
	signed, err := token.SignedString(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (i *issuer) verifier(t *testing.T) *entra.Verifier {
	t.Helper()
	return entra.New(entra.Settings{Issuer: i.name(), Audience: "api://tollgate", Role: "Tollgate.Admin"}, i.Client(), slog.New(slog.DiscardHandler))
}

func TestAnOperatorsTokenIsAcceptedAndItsOwnerNamed(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(t)
	for want, changes := range map[string]map[string]any{
		"ann@example.com (o-1)":           nil,
		"bob@example.com (o-1)":           {"preferred_username": nil, "upn": "bob@example.com"},
		"app 11-22 (o-2)":                 {"preferred_username": nil, "scp": nil, "idtyp": "app", "azp": "11-22", "oid": "o-2"},
		"app 33-44 (o-2)":                 {"preferred_username": nil, "scp": nil, "appid": "33-44", "oid": "o-2", "sub": "o-2"}, // idtyp is not configured in the registration
		"a\ufffd\ufffd[31mb\ufffdc (o-1)": {"preferred_username": "a\n\x1b[31mb\u202ec"},
	} {
		if who, err := v.Authenticate(t.Context(), i.token(t, changes)); who != want || err != nil {
			t.Errorf("changes %v: got owner %q, %v; want %q", changes, who, err, want)
		}
	}
	if n := i.keyReads.Load(); n != 1 {
		t.Errorf("the keys: got %d readings, want 1", n)
	}
}

func TestEveryInvalidTokenIsRefused(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(t)
	good := i.token(t, nil)
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	symmetric, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": i.name(), "aud": "api://tollgate", "exp": time.Now().Add(time.Hour).Unix(),
		"roles": []string{"Tollgate.Admin"}}).SignedString(i.key.N.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	other := newIssuer(t)
	for name, token := range map[string]string{
		"no token": "tg_key", "alg none": none, "a symmetric one": symmetric, "cut": parts[0] + "." + parts[1] + "." + parts[2][:20],
		"altered":             parts[0] + "." + parts[1] + "x." + parts[2],
		"another's signature": other.token(t, map[string]any{"iss": i.name()}), "another issuer": i.token(t, map[string]any{"iss": "https://elsewhere"}),
		"another audience": i.token(t, map[string]any{"aud": "api://other"}), "no audience": i.token(t, map[string]any{"aud": nil}),
		"expired": i.token(t, map[string]any{"exp": time.Now().Add(-2 * time.Minute).Unix()}), "without an end": i.token(t, map[string]any{"exp": nil}),
		"not valid yet": i.token(t, map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}),
		"an ID token":   i.token(t, map[string]any{"scp": nil, "sub": "pairwise"}), "an ID token of a program": i.token(t, map[string]any{"scp": nil, "azp": "11-22", "sub": "o-1"}),
		"an ID token with scopes": i.token(t, map[string]any{"nonce": "n"}), "an ID token of nobody": i.token(t, map[string]any{"scp": nil, "preferred_username": nil, "azp": "11-22", "sub": "s"}),
		"another idtyp": i.token(t, map[string]any{"scp": nil, "idtyp": "user"}), "scopes in another case": i.token(t, map[string]any{"scp": nil, "Scp": "a", "SCP": "a"}),
		"a critical extension": i.signed(t, map[string]any{"crit": []string{"b64"}, "b64": false}, nil), "an empty crit": i.signed(t, map[string]any{"crit": []string{}}, nil),
		"an audience in another case": i.token(t, map[string]any{"aud": nil, "AUD": "api://tollgate"}), "an end in another case": i.token(t, map[string]any{"exp": nil, "Exp": time.Now().Add(time.Hour).Unix()}),
		"an end that is a text": i.token(t, map[string]any{"exp": "9999999999"}),
	} {
		if who, err := v.Authenticate(t.Context(), token); !errors.Is(err, manage.ErrUnauthorized) {
			t.Errorf("%s: got owner %q, error %v; want ErrUnauthorized", name, who, err)
		}
	}
	for _, changes := range []map[string]any{{"roles": nil}, {"roles": []string{}}, {"roles": []string{"tollgate.admin"}}, {"roles": []string{"Tollgate.Reader"}},
		{"roles": "Tollgate.Admin"}, {"roles": nil, "Roles": []string{"Tollgate.Admin"}}, {"roles": nil, "ROLES": []string{"Tollgate.Admin"}}, {"roles": []any{[]string{"Tollgate.Admin"}}}} {
		if _, err := v.Authenticate(t.Context(), i.token(t, changes)); !errors.Is(err, manage.ErrForbidden) || !strings.Contains(err.Error(), "Tollgate.Admin") {
			t.Errorf("changes %v: got error %v, want ErrForbidden naming the role", changes, err)
		}
	}
}

func TestTokensWithUnknownKeysDoNotFloodTheIssuer(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(t)
	if _, err := v.Authenticate(t.Context(), i.token(t, nil)); err != nil {
		t.Fatal(err)
	}
	i.kid = "k2"
	unknown := i.token(t, nil) // signed once, so that the twenty calls end before the keys may be read again
	for range 20 {
		if _, err := v.Authenticate(t.Context(), unknown); !errors.Is(err, manage.ErrUnauthorized) {
			t.Fatalf("a token with an unknown key: got %v, want ErrUnauthorized", err)
		}
	}
	if n := i.keyReads.Load(); n > 2 {
		t.Errorf("twenty tokens: got %d readings of the keys, want at most 2", n)
	}
}

func TestAnUnreachableIssuerIsAnErrorNotARefusal(t *testing.T) {
	i := newIssuer(t)
	i.down.Store(true)
	if _, err := i.verifier(t).Authenticate(t.Context(), i.token(t, nil)); err == nil || errors.Is(err, manage.ErrUnauthorized) || errors.Is(err, manage.ErrForbidden) {
		t.Errorf("Authenticate: got error %v, want one that is neither ErrUnauthorized nor ErrForbidden", err)
	}
	i.down.Store(false)
	v := entra.New(entra.Settings{Issuer: i.name() + "/", Audience: "api://tollgate", Role: "Tollgate.Admin"}, i.Client(), slog.New(slog.DiscardHandler))
	if _, err := v.Authenticate(t.Context(), i.token(t, nil)); err == nil || !strings.Contains(err.Error(), "MANAGE_ISSUER") {
		t.Errorf("an issuer with another name: got error %v, want one naming MANAGE_ISSUER", err)
	}
}
