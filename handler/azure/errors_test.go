package azure

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
)

func TestExplainQuotesNoURLAndNoAnswer(t *testing.T) {
	lost := &url.Error{Op: "Get", URL: "https://a.table.core.windows.net/keys(PartitionKey='canary')", Err: context.DeadlineExceeded}
	for name, test := range map[string]struct {
		err      error
		want     string
		answered bool
	}{
		"no connection": {lost, "read a row: table storage can't be reached: context deadline exceeded", false},
		"no access":     {&azcore.ResponseError{StatusCode: 403, ErrorCode: "AuthorizationFailure"}, "read a row: table storage answered 403 AuthorizationFailure: check the account's key", true},
		"too large":     {&azcore.ResponseError{StatusCode: 413, ErrorCode: "EntityTooLarge"}, "read a row: table storage answered 413 EntityTooLarge", true},
		"busy":          {&azcore.ResponseError{StatusCode: 503, ErrorCode: "ServerBusy"}, "read a row: table storage answered 503 ServerBusy", false},
		"throttled":     {&azcore.ResponseError{StatusCode: 429}, "read a row: table storage answered 429", false},
		"a table going": {&azcore.ResponseError{StatusCode: 409, ErrorCode: string(aztables.TableBeingDeleted)}, "read a row: table storage answered 409 TableBeingDeleted", false},
	} {
		got := Explain("read a row", test.err)
		if got == nil || !strings.HasPrefix(got.Error(), test.want) || strings.Contains(got.Error(), "canary") {
			t.Errorf("%s: got %v, want %s", name, got, test.want)
		}
		if answered(test.err) != test.answered {
			t.Errorf("%s: got answered %t, want %t", name, !test.answered, test.answered)
		}
	}
	if err := Explain("read a row", lost); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want an error that wraps its cause", err)
	}
	if err := Explain("read a row", nil); err != nil {
		t.Errorf("got %v for nil, want nil", err)
	}
}

func TestHasCodeLooksAtTheServicesCodeNotTheStatus(t *testing.T) {
	codes := []aztables.TableErrorCode{aztables.ResourceNotFound, aztables.TableNotFound}
	for err, want := range map[error]bool{
		&azcore.ResponseError{StatusCode: 404, ErrorCode: "TableNotFound"}: true,
		&azcore.ResponseError{StatusCode: 404}:                             false, // a proxy's
		errors.New("TableNotFound"):                                        false,
	} {
		if HasCode(err, codes...) != want {
			t.Errorf("HasCode(%v): got %t, want %t", err, !want, want)
		}
	}
}
