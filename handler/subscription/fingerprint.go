package subscription

import (
	"context"
	"errors"
	"fmt"
)

// ErrOtherPepper says that keys are stored that were made under another pepper:
// under this one nobody's key is found, and a key that is made is nobody's.
var ErrOtherPepper = errors.New("KEY_PEPPER is not the one that the keys in the tables were made under: set it to the gateway's; if that one is lost, so are its keys: delete the row fingerprint of the partition pepper in the table apikeys, and make new ones")

// fingerprinted is what a pepper's fingerprint is the hash of. It is no key.
const fingerprinted = "the fingerprint of a pepper"

// Fingerprint tells a pepper from others, and says no more of it than a key's hash.
func (p Pepper) Fingerprint() string { return p.Hash(fingerprinted)[:16] }

// ComparePepper returns ErrOtherPepper where the tables' keys were made under
// another pepper, and ErrNotFound where there is nothing to compare with.
func (r Registry) ComparePepper(ctx context.Context, pepper Pepper) error {
	kept, err := r.Fingerprint(ctx)
	if err == nil && kept != pepper.Fingerprint() {
		return ErrOtherPepper
	}
	return err
}

// ClaimPepper keeps a pepper's fingerprint beside the keys, if there is none yet.
// ErrOtherPepper where another's is there; without a key, which could only be
// found under that one, it is replaced.
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
		return fmt.Errorf("keep the fingerprint of KEY_PEPPER: %w", err)
	}
	return nil
}
