// Package entra authenticates operators by access tokens of Microsoft Entra ID, or of any
// issuer that publishes its keys with OpenID Connect Discovery.
//
// A Verifier checks a token's signature with the issuer's published keys, then its claims:
// issuer, audience, times and role. It reads the keys when a token needs them and caches them.
//
// Start reading at Verifier.Authenticate.
package entra

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/golang-jwt/jwt/v5"

	"tollgate/handler/manage"
)

// Settings select the tokens that are accepted.
type Settings struct {
	// Issuer is the required iss claim, such as https://login.microsoftonline.com/<tenant>/v2.0.
	// The issuer's description is at a path below it.
	Issuer string
	// Audience is the required aud claim: the application's id or URI.
	Audience string
	// Role is an app role of the application that the roles claim must contain.
	Role string
}

// leeway is the accepted difference between the issuer's clock and ours.
const leeway = time.Minute

// A Verifier is a manage.Authenticator for an issuer's tokens. Make one with New.
type Verifier struct {
	settings Settings
	log      *slog.Logger
	parser   *jwt.Parser
	keys     *keys
}

var _ manage.Authenticator = (*Verifier)(nil)

// New returns a verifier. It makes no request. The issuer's keys are read with the first
// token, again when they are an hour old, and when a token names an unknown key, at most
// every 10 seconds.
func New(s Settings, client *http.Client, log *slog.Logger) *Verifier {
	return &Verifier{settings: s, log: log, keys: newKeys(s.Issuer, client, log), parser: jwt.NewParser(
		jwt.WithIssuer(s.Issuer), jwt.WithAudience(s.Audience), jwt.WithValidMethods([]string{"RS256", "PS256", "ES256"}),
		jwt.WithExpirationRequired(), jwt.WithLeeway(leeway))}
}

// claims are a token's claims. Their names are case-sensitive.
type claims struct{ jwt.MapClaims }

// stringClaim returns a claim that is a string, or "".
func (c claims) stringClaim(name string) string {
	text, _ := c.MapClaims[name].(string)
	return text
}

// hasRole reports whether the token has a role.
func (c claims) hasRole(role string) bool {
	roles, _ := c.MapClaims["roles"].([]any)
	return slices.Contains(roles, any(role))
}

// owner returns the name of the token's owner for the audit: a person's name or an
// application's id, and in parentheses the object id, which never changes.
func (c claims) owner() string {
	name := c.person()
	if app := c.app(); name == "" && app != "" {
		name = "app " + app
	}
	id := cmp.Or(c.stringClaim("oid"), c.stringClaim("sub"))
	switch {
	case name == "":
		name = id
	case id != "":
		name += " (" + id + ")"
	}
	return strings.Map(replaceHidden, name)
}

// replaceHidden replaces control characters, which a terminal would obey, and marks that
// change the direction of text, because names are shown in the audit.
func replaceHidden(r rune) rune {
	if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
		return '\uFFFD'
	}
	return r
}

// person returns a person's name; empty if the owner is an application.
func (c claims) person() string {
	return cmp.Or(c.stringClaim("preferred_username"), c.stringClaim("upn"))
}

// app returns the id of the application that got the token.
func (c claims) app() string { return cmp.Or(c.stringClaim("azp"), c.stringClaim("appid")) }

// isAccessToken reports whether the token was issued to call an API, on behalf of a user
// (it has scopes) or as an application. ID tokens are not: any application that a user
// logs in to gets one. An application's token has idtyp if the registration asks for
// that claim; otherwise its subject is its own object, unlike in any user's token.
// Source: https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
func (c claims) isAccessToken() bool {
	if _, login := c.MapClaims["nonce"]; login {
		return false
	}
	if c.stringClaim("scp") != "" || c.stringClaim("idtyp") == "app" {
		return true
	}
	return c.app() != "" && c.person() == "" && c.stringClaim("oid") != "" && c.stringClaim("oid") == c.stringClaim("sub")
}

// Reasons to refuse a token other than its signature, time, issuer and audience.
var (
	errCritical       = errors.New("the token has a critical extension")
	errNotAccessToken = errors.New("the token is not an access token")
)

// Authenticate implements manage.Authenticator.
func (v *Verifier) Authenticate(ctx context.Context, token string) (string, error) {
	if strings.Count(token, ".") != 2 {
		return "", manage.ErrUnauthorized
	}
	c := claims{jwt.MapClaims{}}
	_, err := v.parser.ParseWithClaims(token, c.MapClaims, func(t *jwt.Token) (any, error) {
		if _, critical := t.Header["crit"]; critical { // Tollgate supports no critical extensions
			return nil, errCritical
		}
		return v.keys.find(ctx, t)
	})
	if errors.Is(err, errUnreadable) {
		return "", fmt.Errorf("the keys of the issuer %s can't be checked: %w", v.settings.Issuer, err)
	}
	if err == nil && !c.isAccessToken() {
		err = errNotAccessToken
	}
	if err != nil {
		v.log.Info("a token was refused", "why", reason(err))
		return "", manage.ErrUnauthorized
	}
	if !c.hasRole(v.settings.Role) {
		return "", fmt.Errorf("%w %s: assign it to %s under the application's users and groups", manage.ErrForbidden, v.settings.Role, c.owner())
	}
	return c.owner(), nil
}

// reason returns why a token was refused, for the log. It reveals nothing of the token.
func reason(err error) string {
	for _, known := range []error{errCritical, errNotAccessToken, jwt.ErrTokenMalformed, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenExpired, jwt.ErrTokenNotValidYet,
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidAudience, jwt.ErrTokenUnverifiable, jwt.ErrTokenRequiredClaimMissing} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "the token is not valid"
}
