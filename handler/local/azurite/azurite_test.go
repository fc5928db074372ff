package azurite_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
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

// TestAClockSetsTheDateOfAnswers also checks that requests are still authorized: the address
// differs from the emulator's.
func TestAClockSetsTheDateOfAnswers(t *testing.T) {
	clock := azurite.NewClock(t, azurite.Shared(t))
	client, err := aztables.NewServiceClientFromConnectionString(clock.ConnectionString, nil)
	if err != nil {
		t.Fatal(err)
	}
	date := func() time.Time {
		var answer *http.Response
		rows := client.NewClient("none").NewListEntitiesPager(nil)
		_, err := rows.NextPage(policy.WithCaptureResponse(t.Context(), &answer))
		if failed, ok := errors.AsType[*azcore.ResponseError](err); !ok || failed.ErrorCode != string(aztables.TableNotFound) {
			t.Fatalf("rows of a missing table: got error %v, want %s", err, aztables.TableNotFound)
		}
		at, err := http.ParseTime(answer.Header.Get("Date"))
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	if late := time.Since(date()); late < 0 || late > 10*time.Second {
		t.Errorf("before the clock is set: got a Date %v ago, want this machine's time", late)
	}
	for _, second := range []time.Duration{0, 30 * time.Second, 45 * time.Second} {
		clock.Set(second)
		at := date()
		if since := at.Sub(at.Truncate(time.Minute)); since < second || since > second+10*time.Second {
			t.Errorf("got a Date %v after the start of a minute, want %v", since, second)
		}
		if ahead := time.Until(at); ahead < -10*time.Second || ahead >= time.Minute {
			t.Errorf("got a Date %v ahead, want less than a minute", ahead)
		}
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
