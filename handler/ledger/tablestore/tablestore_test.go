package tablestore_test

import (
	"crypto/rand"
	"os"
	"testing"

	"tollgate/handler/azure"
	"tollgate/handler/ledger"
	"tollgate/handler/ledger/ledgertest"
	"tollgate/handler/ledger/tablestore"
	"tollgate/handler/local/azurite"
	"tollgate/handler/secret"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

func TestConformance(t *testing.T) {
	service, err := azure.Open(azure.Settings{ConnectionString: secret.New(azurite.Shared(t))})
	if err != nil {
		t.Fatal(err)
	}
	ledgertest.Run(t, func(*testing.T) ledger.Store { return tablestore.New(service, "usage"+rand.Text()) })
}
