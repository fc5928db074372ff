package tablestore_test

import (
	"crypto/rand"
	"os"
	"testing"

	"tollgate/handler/azure/azuretest"
	"tollgate/handler/ledger"
	"tollgate/handler/ledger/ledgertest"
	"tollgate/handler/ledger/tablestore"
	"tollgate/handler/local/azurite"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

func TestConformance(t *testing.T) {
	service := azuretest.Open(t, azurite.Shared(t))
	ledgertest.Run(t, func(*testing.T) ledger.Store { return tablestore.New(service, "usage"+rand.Text()) })
}
