// Package azuretest opens tables in tests.
package azuretest

import (
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/azure"
	"tollgate/handler/secret"
)

// Open opens the tables of an account as the gateway does, given its connection string.
func Open(t testing.TB, connection string) *aztables.ServiceClient {
	t.Helper()
	service, err := azure.Open(azure.Settings{ConnectionString: secret.New(connection)})
	if err != nil {
		t.Fatal(err)
	}
	return service
}
