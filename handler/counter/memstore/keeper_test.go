package memstore_test

import (
	"testing"

	"tollgate/handler/counter/countertest"
	"tollgate/handler/counter/memstore"
)

func TestKeeperConformance(t *testing.T) { countertest.RunKeeper(t, memstore.New(nil)) }
