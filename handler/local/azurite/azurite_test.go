package azurite_test

import (
	"context"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"tollgate/handler/local/azurite"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

func TestSharedEmulatorServesTables(t *testing.T) {
	client, err := aztables.NewServiceClientFromConnectionString(azurite.Shared(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateTable(t.Context(), "emulator", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.DeleteTable(t.Context(), "emulator", nil); err != nil { // so that the test can run again
		t.Fatal(err)
	}
}

func TestStopEndsTheEmulator(t *testing.T) {
	azurite.Shared(t) // skips the test without an emulator
	server, err := azurite.Start(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	client, err := aztables.NewServiceClientFromConnectionString(server.ConnectionString, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateTable(t.Context(), "kept", nil); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	server.Stop()
	if response, err := http.Get("http://" + host(server.ConnectionString)); err == nil {
		response.Body.Close()
		t.Error("got an answer of the emulator after Stop, want none")
	}
}

func TestFreePortsDifferAndAreBelowTheEphemeralRange(t *testing.T) {
	seen := make(map[string]bool)
	for range 10 {
		port, err := azurite.FreePort()
		if number, _ := strconv.Atoi(port); err != nil || number < 1024 || number >= 32768 || seen[port] {
			t.Errorf("got port %s, error %v; want a new one below 32768, after %v", port, err, seen)
		}
		seen[port] = true
	}
}

// host returns host:port of a connection string's TableEndpoint.
func host(connection string) string {
	_, endpoint, _ := strings.Cut(connection, "TableEndpoint=http://")
	address, _, _ := strings.Cut(endpoint, "/")
	return address
}
