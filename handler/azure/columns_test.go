package azure

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
)

func TestColumnsThatAreMissingOrOfAnotherTypeAreFaulty(t *testing.T) {
	var entity aztables.EDMEntity
	if err := json.Unmarshal([]byte(`{"PartitionKey":"p","RowKey":"r","Name":"a","Count":"5","Count@odata.type":"Edm.Int64","Day":"2026-11-29T00:00:00Z","Day@odata.type":"Edm.DateTime"}`), &entity); err != nil {
		t.Fatal(err)
	}
	c := NewColumns(entity)
	day := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	if c.Text("Name") != "a" || c.Int64("Count") != 5 || !c.Time("Day").Equal(day) || !c.Has("Name") || c.Has("Other") || c.Faulty() {
		t.Errorf("got %q, %d, %v, has Name %t, has Other %t, faulty %t; want a, 5, %v, true, false, false",
			c.Text("Name"), c.Int64("Count"), c.Time("Day"), c.Has("Name"), c.Has("Other"), c.Faulty(), day)
	}
	for what, read := range map[string]func(*Columns) bool{
		"a text as a number": func(c *Columns) bool { return c.Int64("Name") == 0 },
		"a number as a text": func(c *Columns) bool { return c.Text("Count") == "" },
		"a text as a time":   func(c *Columns) bool { return c.Time("Name").IsZero() },
		"a missing column":   func(c *Columns) bool { return c.Text("Other") == "" },
	} {
		c := NewColumns(entity)
		zero := read(c)
		c.Text("Name") // a good column afterwards doesn't hide the fault
		if !zero || !c.Faulty() {
			t.Errorf("%s: got zero %t, faulty %t; want true, true", what, zero, c.Faulty())
		}
	}
}
