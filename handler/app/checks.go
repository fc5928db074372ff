package app

import (
	"tollgate/handler/config"
	"tollgate/handler/doctor"
	"tollgate/handler/manage"
	"tollgate/handler/subscription"
)

// Checks returns the checks of what a gateway depends on: its stores, its endpoints and
// Application Insights. They use this process's own identity. faults is the error that
// config.Load returned with c, and stores are empty if they couldn't be opened: what is unknown
// for either reason isn't checked.
func Checks(c config.Config, faults error, stores Stores) []manage.Check {
	var all []manage.Check
	if stores.Probe != nil {
		if c.Store.Pepper != (subscription.Pepper{}) {
			all = append(all, doctor.Pepper(c.Store.Pepper, stores.Directory))
		}
		all = append(all, doctor.Tables(stores.Probe, stores.Directory)...)
		if faults == nil { // else some models may be missing
			all = append(all, doctor.Models(c.Gateway.Models, stores.Directory))
		}
	}
	if stores.Prices != nil && faults == nil {
		all = append(all, doctor.Prices(Served(c), stores.Directory, stores.Prices))
	}
	if stores.Counters != nil {
		all = append(all, doctor.Counters(stores.Counters.List))
	}
	all = append(all, doctor.Endpoints(c.Upstream.Endpoints, c.Gateway.Models)...)
	if endpoint := c.Telemetry.Connection.Endpoint; endpoint != "" {
		all = append(all, doctor.Reachable("telemetry", endpoint))
	}
	return all
}
