package azure

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

func TestRetryGoesOnUntilTheServiceHasAnswered(t *testing.T) {
	unreachable, refused := errors.New("connection refused"), &azcore.ResponseError{StatusCode: 403}
	for name, c := range map[string]struct {
		outcomes []error
		want     error
		lost     bool
	}{
		"at once":          {[]error{nil}, nil, false},
		"an answer":        {[]error{refused}, refused, false},
		"after one":        {[]error{unreachable, nil}, nil, true},
		"a refusal later":  {[]error{unreachable, refused}, refused, true},
		"at the last":      {[]error{unreachable, unreachable, nil}, nil, true},
		"never":            {[]error{unreachable, unreachable, unreachable}, unreachable, true},
		"busy, then taken": {[]error{&azcore.ResponseError{StatusCode: 503}, nil}, nil, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun, tries := time.Now(), 0
			lost, err := Retry(t.Context(), []time.Duration{100 * time.Millisecond, 200 * time.Millisecond}, func() error {
				tries++
				return c.outcomes[tries-1]
			})
			if err != c.want || lost != c.lost || tries != len(c.outcomes) {
				t.Errorf("%s: got %v, lost %v after %d tries; want %v, lost %v after %d", name, err, lost, tries, c.want, c.lost, len(c.outcomes))
			}
			if took, least := time.Since(begun), []time.Duration{0, 50 * time.Millisecond, 150 * time.Millisecond}[tries-1]; took < least || took > 3*least {
				t.Errorf("%s: got an answer after %v, want %v to %v", name, took, least, 3*least)
			}
		})
	}
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		down, tries := errors.New("down"), 0
		lost, err := Retry(ctx, []time.Duration{time.Hour}, func() error {
			tries++
			return down
		})
		if err != down || lost || tries != 1 {
			t.Errorf("got %v, lost %v after %d tries; want %v, lost false after 1", err, lost, tries, down)
		}
	})
}
