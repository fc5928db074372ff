package tablestore

import (
	"context"
	"time"

	"tollgate/handler/storage"
)

// An operation that the service could not take is tried again after a pause.
const (
	tries      = 3
	firstPause = 100 * time.Millisecond
)

func persist(ctx context.Context, doing string, operation func() error) error {
	return storage.Explain(doing, retried(ctx, operation))
}

func retried(ctx context.Context, operation func() error) (err error) {
	for try := range tries {
		if err = operation(); err == nil || storage.Answered(err) || try == tries-1 {
			return err
		}
		select {
		case <-time.After(firstPause << try):
		case <-ctx.Done():
			return err
		}
	}
	return err
}
