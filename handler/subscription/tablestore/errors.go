package tablestore

import (
	"errors"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/subscription"
)

// translate converts errors of the table service to those of a subscription.Store.
func translate(doing string, err error) error {
	failed, ok := errors.AsType[*azcore.ResponseError](err)
	switch {
	case azure.HasCode(err, aztables.ResourceNotFound, aztables.TableNotFound, aztables.EntityNotFound):
		return subscription.ErrNotFound
	case azure.HasCode(err, aztables.EntityAlreadyExists):
		return subscription.ErrExists
	case ok && failed.StatusCode == http.StatusPreconditionFailed:
		return subscription.ErrConflict
	}
	return azure.Explain(doing, err)
}
