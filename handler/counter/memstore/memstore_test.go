package memstore_test

import (
	"testing"

	"tollgate/handler/counter/countertest"
	"tollgate/handler/counter/memstore"
)

func TestConformance(t *testing.T) { countertest.Run(t, memstore.New()) }
