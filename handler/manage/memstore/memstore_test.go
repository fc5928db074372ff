package memstore_test

import (
	"testing"

	"tollgate/handler/manage/audittest"
	"tollgate/handler/manage/memstore"
)

func TestConformance(t *testing.T) { audittest.Run(t, &memstore.Store{}) }
