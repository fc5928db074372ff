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

// HasCode reports whether the service refused an operation with one of the codes. The status
// doesn't suffice: a 404 may be a proxy's, and a 409 may mean that the table is being deleted
// rather than that the row exists.
func HasCode(err error, codes ...aztables.TableErrorCode) bool {
	failed, ok := errors.AsType[*azcore.ResponseError](err)
	return ok && slices.Contains(codes, aztables.TableErrorCode(failed.ErrorCode))
}

// answered reports whether an error is the service's final answer to an operation,
// rather than a lost connection or a busy service.
func answered(err error) bool {
	failed, ok := errors.AsType[*azcore.ResponseError](err)
	if !ok {
		return false
	}
	busy := failed.StatusCode == http.StatusRequestTimeout || failed.StatusCode == http.StatusTooManyRequests || failed.StatusCode >= http.StatusInternalServerError
	return !busy && !HasCode(err, aztables.TableBeingDeleted)
}

// FromService reports whether an answer comes from the table service or its emulator, and not
// from a proxy, by headers that both send with every answer, even an error. Source:
// https://learn.microsoft.com/rest/api/storageservices/query-entities#response-headers
func FromService(header http.Header) bool {
	return header.Get("X-Ms-Request-Id") != "" && header.Get("X-Ms-Version") != ""
}

// Explain returns an error that is safe to show, with the fix if it is known; nil for nil.
// doing says what failed, verb first. The SDK's own errors contain whole answers and URLs,
// which include hashes of keys and keys of counters.
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

// fix returns the fix for a status, after a colon; empty: none is known.
func fix(status int) string {
	if status == http.StatusForbidden || status == http.StatusUnauthorized {
		return ": check the account's key, or give the identity the role Storage Table Data Contributor"
	}
	return ""
}

// Insert adds an entity. If the table doesn't exist, Insert creates it first. The
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

// CheckFromService returns an error unless a success is the service's own: a proxy or captive
// portal that answers in its place stores nothing.
func CheckFromService(answer *http.Response) error {
	if answer != nil && FromService(answer.Header) {
		return nil
	}
	return errors.New("the answer isn't Table Storage's: a proxy or portal answered in its place")
}
