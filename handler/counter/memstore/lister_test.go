package memstore_test

import (
	"testing"

	"tollgate/handler/counter/countertest"
	"tollgate/handler/counter/memstore"
)

func TestListerConformance(t *testing.T) { countertest.RunLister(t, memstore.New()) }
