package subscription

import (
	"context"
	"errors"
	"fmt"
)

// ErrOtherPepper means that the stored keys were hashed with another pepper. With this one,
// no stored key is found, and a gateway with the other one would not find new keys.
var ErrOtherPepper = errors.New("KEY_PEPPER is not the one that the keys in the tables were hashed with: set it to the gateway's. If that pepper is lost, its keys are lost too: delete the row fingerprint in partition pepper of table apikeys, and create new keys")

// fingerprintInput is the text whose hash is a pepper's fingerprint. It must not be a
// well-formed key.
const fingerprintInput = "the fingerprint of a pepper"

// Fingerprint returns a text that identifies the pepper. It reveals no more about the pepper
// than the hash of a key does.
func (p Pepper) Fingerprint() string { return p.Hash(fingerprintInput)[:16] }

// ComparePepper returns nil if the stored fingerprint is the pepper's, ErrOtherPepper if it is
// another's, and ErrNotFound if none is stored.
func (r Registry) ComparePepper(ctx context.Context, pepper Pepper) error {
	stored, err := r.Fingerprint(ctx)
	if err == nil && stored != pepper.Fingerprint() {
		return ErrOtherPepper
	}
	return err
}

// ClaimPepper stores the pepper's fingerprint. If another pepper's is stored, it replaces
// that if there are no keys, and returns ErrOtherPepper if there are.
func (r Registry) ClaimPepper(ctx context.Context, pepper Pepper) error {
	err := r.ComparePepper(ctx, pepper)
	if errors.Is(err, ErrOtherPepper) {
		keys, failed := r.Hashes(ctx, 1)
		if failed != nil || len(keys) > 0 {
			return errors.Join(err, failed)
		}
	} else if !errors.Is(err, ErrNotFound) {
		return err
	}
	if err := r.PutFingerprint(ctx, pepper.Fingerprint()); err != nil {
		return fmt.Errorf("store the fingerprint of KEY_PEPPER: %w", err)
	}
	return nil
}
