package tablestore_test

import (
	"crypto/rand"
	"os"
	"testing"

	"tollgate/handler/azure/azuretest"
	"tollgate/handler/counter/countertest"
	"tollgate/handler/counter/tablestore"
	"tollgate/handler/local/azurite"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

func TestConformance(t *testing.T) {
	service := azuretest.Open(t, azurite.Shared(t))
	countertest.Run(t, tablestore.New(service, "counters"+rand.Text()))
}
