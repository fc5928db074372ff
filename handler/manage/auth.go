package manage

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"

	"tollgate/handler/secret"
)

// Errors of an Authenticator. Any other error means that it couldn't check the token.
var (
	// ErrUnauthorized means that the token is not valid.
	ErrUnauthorized = errors.New("not an operator's token")
	// ErrForbidden means that the token is valid, but its owner is not an operator.
	ErrForbidden = errors.New("the token lacks the role")
)

// An Authenticator checks operators' tokens.
type Authenticator interface {
	// Authenticate returns the name of a token's owner, for the audit, or
	// ErrUnauthorized or ErrForbidden.
	Authenticate(ctx context.Context, token string) (who string, err error)
}

// A keyAuthenticator accepts one key.
type keyAuthenticator struct{ hash [sha256.Size]byte }

// MinOperatorKeyLength is the shortest operator key accepted, in bytes.
const MinOperatorKeyLength = 32

// OperatorKey returns an Authenticator that accepts one key shared by all operators, for
// a gateway on one's own machine. The audit can't tell the operators apart.
func OperatorKey(key secret.Text) Authenticator {
	return keyAuthenticator{sha256.Sum256([]byte(key.Reveal()))}
}

// Authenticate implements Authenticator. It compares in constant time.
func (k keyAuthenticator) Authenticate(_ context.Context, token string) (string, error) {
	sum := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(sum[:], k.hash[:]) != 1 {
		return "", ErrUnauthorized
	}
	return "operator key", nil
}

// AnyOf returns an Authenticator that accepts a token if one of several does. If none
// does, it returns the most specific of their errors.
func AnyOf(all ...Authenticator) Authenticator { return anyOf(all) }

// anyOf holds the authenticators of AnyOf.
type anyOf []Authenticator

// Authenticate implements Authenticator.
func (all anyOf) Authenticate(ctx context.Context, token string) (string, error) {
	refusal := ErrUnauthorized
	for _, one := range all {
		who, err := one.Authenticate(ctx, token)
		if err == nil {
			return who, nil
		}
		if !errors.Is(err, ErrUnauthorized) {
			refusal = err
		}
	}
	return "", refusal
}
