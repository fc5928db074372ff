package azure

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
)

// HasCode says whether the service refused an operation with one of the codes.
// Statuses alone don't decide: a proxy's 404 is no missing row, nor is a table
// that is being deleted a row that exists.
func HasCode(err error, codes ...aztables.TableErrorCode) bool {
	failed, ok := errors.AsType[*azcore.ResponseError](err)
	return ok && slices.Contains(codes, aztables.TableErrorCode(failed.ErrorCode))
}

// Answered says whether an error is the service's last word on an operation:
// not a lost connection, and not that it is busy.
func Answered(err error) bool {
	failed, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return false
	}
	busy := failed.StatusCode == http.StatusRequestTimeout || failed.StatusCode == http.StatusTooManyRequests || failed.StatusCode >= http.StatusInternalServerError
	return !busy && !HasCode(err, aztables.TableBeingDeleted)
}

// FromService says whether an answer is the table service's own, or an emulator's,
// by the headers that it sends with every one, errors included. Source:
// https://learn.microsoft.com/rest/api/storageservices/query-entities#response-headers
func FromService(header http.Header) bool {
	return header.Get("X-Ms-Request-Id") != "" && header.Get("X-Ms-Version") != ""
}

// Explain makes what went wrong with an operation fit to be shown, and names the
// fix where it is known; nil stays nil. The SDK's own errors hold whole answers
// and addresses, in which are a key's hash and a counter's key.
func Explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	if failed, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return fmt.Errorf("%s: table storage answered %d %s%s", doing, failed.StatusCode, failed.ErrorCode, fix(failed.StatusCode))
	}
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	return fmt.Errorf("%s: table storage can't be reached: %w", doing, err)
}

func fix(status int) string {
	if status == http.StatusForbidden || status == http.StatusUnauthorized {
		return ": check the account's key, or give the identity the role Storage Table Data Contributor"
	}
	return ""
}

// Insert adds an entity, and makes the table first where there is none. The
// error is the SDK's.
func Insert(ctx context.Context, client *aztables.Client, entity []byte) (azcore.ETag, error) {
	added, err := client.AddEntity(ctx, entity, nil)
	if HasCode(err, aztables.TableNotFound) {
		if _, err := client.CreateTable(ctx, nil); err != nil && !HasCode(err, aztables.TableAlreadyExists) {
			return "", err
		}
		added, err = client.AddEntity(ctx, entity, nil)
	}
	return added.ETag, err
}
