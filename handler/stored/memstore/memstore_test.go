package memstore_test

import (
	"testing"

	"tollgate/handler/stored/memstore"
	"tollgate/handler/stored/storedtest"
)

func TestConformance(t *testing.T) { storedtest.Run(t, memstore.New(nil)) }
