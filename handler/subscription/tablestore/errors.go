package tablestore

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/subscription"
)

func hasCode(err error, code aztables.TableErrorCode) bool {
	failed, ok := errors.AsType[*azcore.ResponseError](err)
	return ok && failed.ErrorCode == string(code)
}

// answered says whether an error is the service's last word on an operation:
// not a lost connection, and not that it is busy.
func answered(err error) bool {
	failed, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return false
	}
	busy := failed.StatusCode == http.StatusRequestTimeout || failed.StatusCode == http.StatusTooManyRequests || failed.StatusCode >= 500
	return !busy && !hasCode(err, aztables.TableBeingDeleted)
}

// translate gives the errors that a subscription.Store may return. Statuses
// alone don't decide: a proxy's 404 is no missing row, nor is a table that is
// being deleted a row that exists.
func translate(doing string, err error) error {
	failed, ok := errors.AsType[*azcore.ResponseError](err)
	switch {
	case err == nil:
		return nil
	case hasCode(err, aztables.ResourceNotFound), hasCode(err, aztables.TableNotFound), hasCode(err, aztables.EntityNotFound):
		return subscription.ErrNotFound
	case hasCode(err, aztables.EntityAlreadyExists):
		return subscription.ErrExists
	case ok && failed.StatusCode == http.StatusPreconditionFailed:
		return subscription.ErrConflict
	case ok: // the SDK's text holds the whole answer and the row's address, which is a key's hash
		return fmt.Errorf("%s: table storage answered %d %s%s", doing, failed.StatusCode, failed.ErrorCode, fix(failed.StatusCode))
	}
	return fmt.Errorf("%s: table storage can't be reached: %w", doing, redact(err))
}

func fix(status int) string {
	if status == http.StatusForbidden || status == http.StatusUnauthorized {
		return ": check the account's key, or give the identity the role Storage Table Data Contributor"
	}
	return ""
}

// redact leaves the address out of a transport's error: it holds a key's hash.
func redact(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}
