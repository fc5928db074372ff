package memstore_test

import (
	"testing"

	"tollgate/handler/price"
	"tollgate/handler/price/memstore"
	"tollgate/handler/price/pricetest"
)

func TestConformance(t *testing.T) {
	pricetest.Run(t, func(*testing.T) price.Store { return new(memstore.Store) })
}
