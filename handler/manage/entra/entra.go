// Package entra knows operators by access tokens of Microsoft Entra ID, or of
// any issuer that publishes its keys as OpenID Connect has it.
package entra

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"

	"tollgate/handler/manage"
)

// Settings say whose tokens are taken.
type Settings struct {
	// Issuer is what the tokens' iss must be, and below which the issuer's own
	// description is found: https://login.microsoftonline.com/<tenant>/v2.0.
	Issuer string
	// Audience is what the tokens' aud must be: the application's id, or its URI.
	Audience string
	// Role must be among the tokens' roles: an app role of the application.
	Role string
}

// What bounds the issuer's answers and how often it is asked.
const (
	// timeout of one request to the issuer.
	timeout = 5 * time.Second
	// pause after a failed one: an issuer that is down isn't asked for every token.
	pause = 5 * time.Second
	// unknownKeys bounds how often a token with an unknown key's id has the keys
	// read again. Anyone can send such tokens, and keys are published well before use.
	unknownKeys = 10 * time.Second
	// leeway for clocks that differ.
	leeway = time.Minute
	// largest answer of the issuer, in bytes.
	largest = 1 << 20
)

// Verifier is a manage.Authenticator of an issuer's tokens. Make one with New.
type Verifier struct {
	Settings
	ctx    context.Context
	client *http.Client
	log    *slog.Logger
	parser *jwt.Parser

	mu     sync.Mutex
	keys   keyfunc.Keyfunc // nil until the issuer was first reached
	failed time.Time       // when it last could not be
	why    error
}

var _ manage.Authenticator = (*Verifier)(nil)

// New makes a verifier. It makes no call: the issuer is asked for its keys when
// the first token comes, then every hour until ctx is done.
func New(ctx context.Context, s Settings, client *http.Client, log *slog.Logger) *Verifier {
	return &Verifier{Settings: s, ctx: ctx, client: client, log: log, parser: jwt.NewParser(
		jwt.WithIssuer(s.Issuer), jwt.WithAudience(s.Audience), jwt.WithValidMethods([]string{"RS256", "PS256", "ES256"}),
		jwt.WithExpirationRequired(), jwt.WithLeeway(leeway))}
}

// claims are what is read of a token.
type claims struct {
	jwt.RegisteredClaims
	Roles    []string `json:"roles"`
	ObjectID string   `json:"oid"`
	Name     string   `json:"preferred_username"`
	UPN      string   `json:"upn"`
	App      string   `json:"azp"`
	AppV1    string   `json:"appid"`
}

// who is the token's owner as the audit names it: a person by name, a program
// by its application, with the object id that no renaming changes.
func (c *claims) who() string {
	name := cmp.Or(c.Name, c.UPN)
	if app := cmp.Or(c.App, c.AppV1); name == "" && app != "" {
		name = "app " + app
	}
	id := cmp.Or(c.ObjectID, c.Subject)
	switch {
	case name == "":
		return id
	case id == "":
		return name
	}
	return name + " (" + id + ")"
}

// Authenticate implements manage.Authenticator.
func (v *Verifier) Authenticate(ctx context.Context, token string) (string, error) {
	if strings.Count(token, ".") != 2 {
		return "", manage.ErrUnauthorized
	}
	keys, err := v.keyset(ctx)
	if err != nil {
		return "", fmt.Errorf("the issuer %s can't be asked for its keys: %w", v.Issuer, err)
	}
	var c claims
	if _, err := v.parser.ParseWithClaims(token, &c, keys.KeyfuncCtx(ctx)); err != nil {
		v.log.Info("a token was refused", "why", reason(err))
		return "", manage.ErrUnauthorized
	}
	if !slices.Contains(c.Roles, v.Role) {
		return "", fmt.Errorf("%w %s: assign it to %s in the application's users and groups", manage.ErrForbidden, v.Role, c.who())
	}
	return c.who(), nil
}

// reason is why a token was refused, for the log: which of the checks, and
// nothing of the token.
func reason(err error) string {
	for _, known := range []error{jwt.ErrTokenMalformed, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenExpired, jwt.ErrTokenNotValidYet,
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidAudience, jwt.ErrTokenUnverifiable, jwt.ErrTokenRequiredClaimMissing} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "the token is not valid"
}

// keyset is the issuer's keys, read when they are first needed.
func (v *Verifier) keyset(ctx context.Context) (keyfunc.Keyfunc, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.keys != nil {
		return v.keys, nil
	}
	if time.Since(v.failed) < pause {
		return nil, v.why
	}
	address, err := v.discover(ctx)
	if err == nil {
		v.keys, err = v.follow(address)
	}
	if err != nil {
		v.failed, v.why = time.Now(), err
	}
	return v.keys, err
}

// discover reads where the issuer's keys are.
// Source: https://openid.net/specs/openid-connect-discovery-1_0.html
func (v *Verifier) discover(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout) // all wait for this answer
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(v.Issuer, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return "", err
	}
	response, err := v.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var found struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("its description is answered with %s", response.Status)
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, largest)).Decode(&found); err != nil {
		return "", fmt.Errorf("its description can't be read: %w", err)
	}
	if found.Issuer != v.Issuer || found.Keys == "" {
		return "", fmt.Errorf("it describes itself as %q: set MANAGE_ISSUER to what tokens have as iss", found.Issuer)
	}
	return found.Keys, nil
}

// follow reads the keys, and again now and then.
func (v *Verifier) follow(address string) (keyfunc.Keyfunc, error) {
	mustRead := false
	ctx, end := context.WithCancel(v.ctx)
	keys, err := keyfunc.NewDefaultOverrideCtx(ctx, []string{address}, keyfunc.Override{
		Client: v.client, HTTPTimeout: timeout, NoErrorReturnFirstHTTPReq: &mustRead,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(unknownKeys), 1), RateLimitWaitMax: time.Millisecond,
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
			return func(_ context.Context, err error) {
				v.log.Warn("the issuer's keys can't be read", "cause", err.Error())
			}
		},
	})
	if err != nil {
		end() // it would read them every hour all the same
		return nil, err
	}
	context.AfterFunc(v.ctx, end)
	return keys, nil
}
