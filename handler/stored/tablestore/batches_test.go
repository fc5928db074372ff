package tablestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
)

func TestBatchesSplitAtPartitionsAndAt100RowsAndEndWithTheListsError(t *testing.T) {
	failed := errors.New("a page failed")
	for name, err := range map[string]error{"a whole list": nil, "a list that fails": failed} {
		rows := func(yield func([]byte, error) bool) {
			for i := range 250 {
				partition := "a"
				if i >= 120 {
					partition = "b"
				}
				row, _ := json.Marshal(aztables.Entity{PartitionKey: partition, RowKey: fmt.Sprint(i)})
				if !yield(row, nil) {
					return
				}
			}
			if err != nil {
				yield(nil, err)
			}
		}
		var got []string
		for batch, err := range batches(rows) {
			if err != nil {
				got = append(got, err.Error())
				continue
			}
			got = append(got, fmt.Sprint(batch[0].PartitionKey, batch[0].RowKey, " ", len(batch)))
		}
		want := []string{"a0 100", "a100 20", "b120 100", "b220 30"}
		if err != nil {
			want = append(want, err.Error())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got the batches %q, want %q", name, got, want)
		}
	}
}
