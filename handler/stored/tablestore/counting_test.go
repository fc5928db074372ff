package tablestore_test

import (
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/local/azurite"
)

// counting returns a client of Azurite's tables that counts its requests.
func counting(t *testing.T, counted *operations) *aztables.ServiceClient {
	t.Helper()
	service, err := aztables.NewServiceClientFromConnectionString(azurite.Shared(t), &aztables.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: counted, Retry: policy.RetryOptions{MaxRetries: -1}}})
	if err != nil {
		t.Fatal(err)
	}
	return service
}
