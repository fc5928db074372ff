package tablestore_test

import (
	"crypto/rand"
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/counter/tablestore"
	"tollgate/handler/local/azurite"
)

// A wire carries requests to the emulator. If answer is set and returns an answer, that comes
// in the emulator's place.
type wire struct {
	answer func(*http.Request) *http.Response
}

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	if w.answer != nil {
		if answer := w.answer(r); answer != nil {
			return answer, nil
		}
	}
	return http.DefaultClient.Do(r)
}

// openWired returns a store in a table of its own that doesn't exist yet, with the wire to it.
func openWired(t *testing.T) (store *tablestore.Store, w *wire, table *aztables.Client) {
	t.Helper()
	w = &wire{}
	service, err := aztables.NewServiceClientFromConnectionString(azurite.Shared(t), &aztables.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: w, Retry: policy.RetryOptions{MaxRetries: -1}}})
	if err != nil {
		t.Fatal(err)
	}
	name := "counters" + rand.Text()
	return tablestore.New(service, name), w, service.NewClient(name)
}
