package manage

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"

	"tollgate/handler/secret"
)

// What an Authenticator may answer. Any other error means that it couldn't tell.
var (
	// ErrUnauthorized: the token is nobody's.
	ErrUnauthorized = errors.New("not an operator's token")
	// ErrForbidden: the token is somebody's who is no operator.
	ErrForbidden = errors.New("the token lacks the role")
)

// Authenticator knows operators by their tokens.
type Authenticator interface {
	// Authenticate says who a token is of, for the audit. ErrUnauthorized, ErrForbidden.
	Authenticate(ctx context.Context, token string) (who string, err error)
}

// operatorKey is an Authenticator of one key.
type operatorKey struct{ sum [sha256.Size]byte }

// OperatorKeyLength is the least length of an operator's key, in bytes.
const OperatorKeyLength = 32

// OperatorKey admits who sends a key that all operators share: for a gateway on
// one's own machine. The audit can't tell them apart.
func OperatorKey(key secret.Text) Authenticator {
	return operatorKey{sha256.Sum256([]byte(key.Reveal()))}
}

// Authenticate implements Authenticator. It takes as long for a key that is
// nearly right as for any other.
func (k operatorKey) Authenticate(_ context.Context, token string) (string, error) {
	sum := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(sum[:], k.sum[:]) != 1 {
		return "", ErrUnauthorized
	}
	return "operator key", nil
}

// AnyOf admits whom one of several authenticators admits. Of their refusals it
// answers with the one that knew the token best.
func AnyOf(all ...Authenticator) Authenticator { return anyOf(all) }

type anyOf []Authenticator

// Authenticate implements Authenticator.
func (all anyOf) Authenticate(ctx context.Context, token string) (string, error) {
	worst := ErrUnauthorized
	for _, one := range all {
		who, err := one.Authenticate(ctx, token)
		if err == nil {
			return who, nil
		}
		if !errors.Is(err, ErrUnauthorized) {
			worst = err
		}
	}
	return "", worst
}
