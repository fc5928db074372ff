package memstore_test

import (
	"testing"

	"tollgate/handler/counter/memstore"
	"tollgate/handler/counter/usage"
	"tollgate/handler/counter/usage/usagetest"
)

func TestHistoryConformance(t *testing.T) {
	usagetest.Run(t, func(*testing.T) usage.Store { return memstore.NewHistory(nil) })
}
