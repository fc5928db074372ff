package tablestore_test

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"tollgate/handler/azure/azuretest"
	"tollgate/handler/local/azurite"
	"tollgate/handler/manage"
	"tollgate/handler/manage/audittest"
	"tollgate/handler/manage/tablestore"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

func open(t *testing.T, connection, table string) *tablestore.Store {
	t.Helper()
	service := azuretest.Open(t, connection)
	return tablestore.New(service, table)
}

func TestConformance(t *testing.T) { audittest.Run(t, open(t, azurite.Shared(t), "audit"+rand.Text())) }

func TestProbeLeavesNothingAndReturnsTheServicesTime(t *testing.T) {
	store := open(t, azurite.Shared(t), "auditprobe")
	at, err := store.Probe(t.Context())
	if err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("Probe: got %v, %v; want a time within a minute of now", at, err)
	}
	if events, _, err := store.Events(t.Context(), "", "", 10); err != nil || len(events) != 0 {
		t.Errorf("after the probe: got events %v, %v; want none", events, err)
	}
}

func TestErrorsExplainAnUnreachableOrRefusingStorageAccount(t *testing.T) {
	down := azurite.ConnectionString("1")
	wrong := strings.Replace(azurite.Shared(t), azurite.AccountKey, "d3Jvbmc=", 1)
	for connection, want := range map[string]string{down: "can't be reached", wrong: "check the account's key"} {
		_, err := open(t, connection, "audit").Begin(t.Context(), manage.Event{When: time.Now()})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "RowKey") {
			t.Errorf("Begin: got error %v, want %s and no content of the row", err, want)
		}
	}
}
