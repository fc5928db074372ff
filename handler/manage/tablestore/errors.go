package tablestore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
)

// An operation that the service could not take is tried again after a pause.
const (
	tries      = 3
	firstPause = 100 * time.Millisecond
)

func persist(ctx context.Context, doing string, operation func() error) error {
	return translate(doing, retried(ctx, operation))
}

func retried(ctx context.Context, operation func() error) (err error) {
	for try := range tries {
		if err = operation(); err == nil || answered(err) || try == tries-1 {
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

func hasCode(err error, code aztables.TableErrorCode) bool {
	failed, ok := errors.AsType[*azcore.ResponseError](err)
	return ok && failed.ErrorCode == string(code)
}

// answered says whether an error is the service's last word.
func answered(err error) bool {
	failed, ok := errors.AsType[*azcore.ResponseError](err)
	return ok && failed.StatusCode < http.StatusInternalServerError && failed.StatusCode != http.StatusTooManyRequests && failed.StatusCode != http.StatusRequestTimeout
}

// translate leaves out what the SDK's errors tell beside the cause: whole
// answers and addresses.
func translate(doing string, err error) error {
	failed, ok := errors.AsType[*azcore.ResponseError](err)
	switch {
	case err == nil:
		return nil
	case ok && (failed.StatusCode == http.StatusForbidden || failed.StatusCode == http.StatusUnauthorized):
		return fmt.Errorf("%s: table storage answered %d %s: check the account's key, or give the identity the role Storage Table Data Contributor", doing, failed.StatusCode, failed.ErrorCode)
	case ok:
		return fmt.Errorf("%s: table storage answered %d %s", doing, failed.StatusCode, failed.ErrorCode)
	}
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	return fmt.Errorf("%s: table storage can't be reached: %w", doing, err)
}
