// Package entra knows operators by access tokens of Microsoft Entra ID, or of
// any issuer that publishes its keys as OpenID Connect has it.
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

// leeway is how far the issuer's clock may differ from ours.
const leeway = time.Minute

// Verifier is a manage.Authenticator of an issuer's tokens. Make one with New.
type Verifier struct {
	Settings
	log    *slog.Logger
	parser *jwt.Parser
	keys   *keys
}

var _ manage.Authenticator = (*Verifier)(nil)

// New makes a verifier. It makes no call: the issuer is asked for its keys when
// the first token comes, when one comes an hour later, and when one names a key
// that isn't known, at most every 10 seconds.
func New(s Settings, client *http.Client, log *slog.Logger) *Verifier {
	return &Verifier{Settings: s, log: log, keys: newKeys(s.Issuer, client, log), parser: jwt.NewParser(
		jwt.WithIssuer(s.Issuer), jwt.WithAudience(s.Audience), jwt.WithValidMethods([]string{"RS256", "PS256", "ES256"}),
		jwt.WithExpirationRequired(), jwt.WithLeeway(leeway))}
}

// claims are a token's claims. Names are as they are written: Roles is not roles.
type claims struct{ jwt.MapClaims }

// text is a claim that is a text; empty where it is absent or something else.
func (c claims) text(name string) string {
	text, _ := c.MapClaims[name].(string)
	return text
}

// has says whether a role is among the token's.
func (c claims) has(role string) bool {
	roles, _ := c.MapClaims["roles"].([]any)
	return slices.Contains(roles, any(role))
}

// who is the token's owner as the audit names it: a person by name, a program
// by its application, with the object id that no renaming changes.
func (c claims) who() string {
	name := c.person()
	if app := c.app(); name == "" && app != "" {
		name = "app " + app
	}
	id := cmp.Or(c.text("oid"), c.text("sub"))
	switch {
	case name == "":
		name = id
	case id != "":
		name += " (" + id + ")"
	}
	return strings.Map(visible, name)
}

// visible replaces what a terminal would obey, or what turns the direction of
// text: the name is shown beside others in the audit.
func visible(r rune) rune {
	if unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
		return '\uFFFD'
	}
	return r
}

func (c claims) person() string { return cmp.Or(c.text("preferred_username"), c.text("upn")) }

func (c claims) app() string { return cmp.Or(c.text("azp"), c.text("appid")) }

// forAPIs says whether the token was issued to call an API: on behalf of a user,
// when it has scopes, or as an application. An ID token tells an application who
// logged in to it; whoever holds one need not be an operator's program. An
// application's token says so by idtyp where the registration asks for that
// claim, and else has its own object as subject, which no user's token has.
// Source: https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
func (c claims) forAPIs() bool {
	if _, login := c.MapClaims["nonce"]; login {
		return false
	}
	if c.text("scp") != "" || c.text("idtyp") == "app" {
		return true
	}
	return c.app() != "" && c.person() == "" && c.text("oid") != "" && c.text("oid") == c.text("sub")
}

// Why else than for its signature, time, issuer or audience a token is refused.
var (
	errCritical = errors.New("the token has a critical extension")
	errNotForUs = errors.New("the token is not an access token")
)

// Authenticate implements manage.Authenticator.
func (v *Verifier) Authenticate(ctx context.Context, token string) (string, error) {
	if strings.Count(token, ".") != 2 {
		return "", manage.ErrUnauthorized
	}
	c := claims{jwt.MapClaims{}}
	_, err := v.parser.ParseWithClaims(token, c.MapClaims, func(t *jwt.Token) (any, error) {
		if _, critical := t.Header["crit"]; critical { // none is understood here
			return nil, errCritical
		}
		return v.keys.find(ctx, t)
	})
	if errors.Is(err, errUnreadable) {
		return "", fmt.Errorf("the issuer %s can't be asked for its keys: %w", v.Issuer, err)
	}
	if err == nil && !c.forAPIs() {
		err = errNotForUs
	}
	if err != nil {
		v.log.Info("a token was refused", "why", reason(err))
		return "", manage.ErrUnauthorized
	}
	if !c.has(v.Role) {
		return "", fmt.Errorf("%w %s: assign it to %s in the application's users and groups", manage.ErrForbidden, v.Role, c.who())
	}
	return c.who(), nil
}

// reason is why a token was refused, for the log: which of the checks, and
// nothing of the token.
func reason(err error) string {
	for _, known := range []error{errCritical, errNotForUs, jwt.ErrTokenMalformed, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenExpired, jwt.ErrTokenNotValidYet,
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidAudience, jwt.ErrTokenUnverifiable, jwt.ErrTokenRequiredClaimMissing} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "the token is not valid"
}
