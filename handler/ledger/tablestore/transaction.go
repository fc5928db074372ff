package tablestore

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/ledger"
)

// submitAll makes several changes in a transaction. The SDK returns neither the new ETags nor
// the service's reason for a refusal, so submitAll reads both from the response itself.
func (s *Store) submitAll(ctx context.Context, changes []ledger.Change) ([]ledger.Version, error) {
	actions := make([]aztables.TransactionAction, len(changes))
	for i, c := range changes {
		entity, err := encode(c.Row)
		if err != nil {
			return nil, err
		}
		actions[i] = actionOf(c, entity)
	}
	answer, failed := s.submitted(ctx, actions)
	if answer == nil || answer.StatusCode != http.StatusAccepted {
		return nil, cmp.Or(failed, errIncomplete)
	}
	if err := azure.CheckFromService(answer); err != nil {
		return nil, err
	}
	results, err := resultsOf(answer)
	if err != nil {
		return nil, err
	}
	return versionsOf(results, changes)
}

// submitted returns the response to a transaction, and the SDK's error. The SDK panics if the
// response has no body.
func (s *Store) submitted(ctx context.Context, actions []aztables.TransactionAction) (answer *http.Response, err error) {
	defer func() {
		if recover() != nil {
			err = errIncomplete
		}
	}()
	_, err = s.client.SubmitTransaction(policy.WithCaptureResponse(ctx, &answer), actions, nil)
	return answer, err
}

func actionOf(c ledger.Change, entity []byte) aztables.TransactionAction {
	if c.Version == "" {
		return aztables.TransactionAction{ActionType: aztables.TransactionTypeAdd, Entity: entity}
	}
	etag, kind := azcore.ETag(c.Version), aztables.TransactionTypeUpdateReplace
	if c.Delete {
		kind = aztables.TransactionTypeDelete
	}
	return aztables.TransactionAction{ActionType: kind, Entity: entity, IfMatch: &etag}
}

// versionsOf returns the ETags in a transaction's results, or the error with which the service
// refused it.
func versionsOf(results []*http.Response, changes []ledger.Change) ([]ledger.Version, error) {
	versions := make([]ledger.Version, 0, len(results))
	for _, result := range results {
		if result.StatusCode >= http.StatusBadRequest {
			return nil, runtime.NewResponseError(result)
		}
		versions = append(versions, ledger.Version(result.Header.Get("ETag"))) // empty for a deletion
	}
	if len(versions) != len(changes) {
		return nil, errIncomplete
	}
	for i, c := range changes {
		if versions[i] == "" && !c.Delete {
			return nil, errIncomplete
		}
	}
	return versions, nil
}

// errIncomplete means that the response to a transaction can't be understood, so that its
// outcome is unknown.
var errIncomplete = errors.New("the transaction's answer is incomplete")

// resultsOf returns the responses to the operations of a transaction. Each is a part of a
// multipart body, which is itself the only part of a multipart body. Source:
// https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions#sample-response
func resultsOf(answer *http.Response) (results []*http.Response, err error) {
	body, err := runtime.Payload(answer) // the SDK has buffered it
	if err != nil {
		return nil, err
	}
	err = eachPart(answer.Header.Get("Content-Type"), bytes.NewReader(body), func(changeset *multipart.Part) error {
		return eachPart(changeset.Header.Get("Content-Type"), changeset, func(operation *multipart.Part) error {
			result, err := resultOf(operation)
			results = append(results, result)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errIncomplete, err)
	}
	return results, nil
}

// eachPart calls read with each part of a multipart body, to its end.
func eachPart(contentType string, body io.Reader, read func(*multipart.Part) error) error {
	_, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return err
	}
	parts := multipart.NewReader(body, parameters["boundary"])
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = read(part)
		}
		if err != nil {
			return err
		}
	}
}

// resultOf reads the response to an operation, including its whole body.
func resultOf(part io.Reader) (*http.Response, error) {
	result, err := http.ReadResponse(bufio.NewReader(part), nil)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(result.Body)
	if err != nil {
		return nil, err
	}
	result.Body = io.NopCloser(bytes.NewReader(body))
	return result, nil
}
