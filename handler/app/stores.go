package app

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"tollgate/handler/azure"
	"tollgate/handler/config"
	"tollgate/handler/counter"
	countermem "tollgate/handler/counter/memstore"
	countertables "tollgate/handler/counter/tablestore"
	"tollgate/handler/housekeeping"
	housekeepingtables "tollgate/handler/housekeeping/tablestore"
	"tollgate/handler/ledger"
	ledgermem "tollgate/handler/ledger/memstore"
	ledgertables "tollgate/handler/ledger/tablestore"
	"tollgate/handler/manage"
	managemem "tollgate/handler/manage/memstore"
	managetables "tollgate/handler/manage/tablestore"
	"tollgate/handler/price"
	pricetables "tollgate/handler/price/tablestore"
	"tollgate/handler/stored"
	storedmem "tollgate/handler/stored/memstore"
	storedtables "tollgate/handler/stored/tablestore"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/tablestore"
)

// Stores holds what all instances of a deployment share.
type Stores struct {
	Directory subscription.Store
	Audit     manage.Audit
	Probe     func(context.Context) (time.Time, error) // writes and deletes a row; nil: in memory
	Counters  Counters
	Ledger    ledger.Store
	Prices    price.Store
	Responses stored.Store
	Turns     housekeeping.Turns // nil: no other instance shares the counters
}

// Counters is the store that calls are charged to, and that operators list.
type Counters interface {
	counter.Store
	counter.Lister
}

// TableNames holds the names of a deployment's tables.
type TableNames struct {
	Directory                                         tablestore.Tables
	Audit, Counters, Ledger, Prices, Responses, Turns string
}

// DefaultTableNames are the names in every deployment.
var DefaultTableNames = TableNames{Directory: tablestore.DefaultTables, Audit: managetables.DefaultTable, Counters: countertables.DefaultTable,
	Ledger: ledgertables.DefaultTable, Prices: pricetables.DefaultTable, Responses: storedtables.DefaultTable, Turns: housekeepingtables.DefaultTable}

// OpenTables returns the stores in the tables of a storage account. It makes no
// network call; its errors name the setting at fault.
func OpenTables(account azure.Settings, names TableNames) (Stores, error) {
	service, err := azure.Open(account)
	if err != nil {
		return Stores{}, err
	}
	audit := managetables.New(service, names.Audit)
	return Stores{Directory: tablestore.New(service, names.Directory), Audit: audit, Probe: audit.Probe,
		Counters: countertables.New(service, names.Counters), Ledger: ledgertables.New(service, names.Ledger),
		Prices: pricetables.New(service, names.Prices), Responses: storedtables.New(service, names.Responses), Turns: housekeepingtables.New(service, names.Turns)}, nil
}

// openStores returns the stores that the settings select.
func openStores(c config.Store) (Stores, error) {
	if c.Kind != "memory" {
		return OpenTables(c.Account, DefaultTableNames)
	}
	directory, prices, err := c.OpenMemory()
	if err != nil {
		return Stores{}, fmt.Errorf("MEMORY_DIRECTORY: %w", err)
	}
	return Stores{Directory: directory, Audit: &managemem.Store{}, Counters: countermem.New(), Ledger: ledgermem.New(nil),
		Prices: prices, Responses: storedmem.New(nil)}, nil
}

// Operators returns the configuration of an operators' API over the stores, without
// Auth, Checks and Served. A nil pepper is allowed; see manage.Config.
func (s Stores) Operators(pepper *subscription.Pepper, log *slog.Logger) manage.Config {
	return manage.Config{Store: s.Directory, Pepper: pepper, Audit: s.Audit, Prices: s.Prices, Counters: s.Counters, Ledger: ledger.Reader{Store: s.Ledger}, Log: log}
}

// Housekeeping returns the housekeeper of the stores, which deletes days of usage older than
// retention. It flushes the counters of idle instances through c.
func (s Stores) Housekeeping(c *counter.Counter, retention time.Duration, log *slog.Logger) *housekeeping.Housekeeper {
	return housekeeping.New(housekeeping.Config{Counters: s.Counters, Counter: c, Ledger: s.Ledger, Retention: retention,
		Stored: s.Responses, Turns: s.Turns, Log: log})
}
