package manage

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// serve answers a request that was let in.
type serve func(*call) (*result, error)

// endpoints are the routes by path below Prefix, and by method.
var endpoints = map[string]map[string]serve{
	"/me":                                    {"GET": (*call).me},
	"/tiers":                                 {"GET": (*call).listTiers},
	"/tiers/{id}":                            {"GET": (*call).readTier, "PUT": (*call).putTier, "PATCH": (*call).patchTier},
	"/subscriptions":                         {"GET": (*call).listSubscriptions},
	"/subscriptions/{id}":                    {"GET": (*call).readSubscription, "PUT": (*call).putSubscription, "PATCH": (*call).patchSubscription},
	"/subscriptions/{id}/keys/{slot}":        {"POST": (*call).createKey, "PATCH": (*call).expireKey, "DELETE": (*call).revokeKey},
	"/subscriptions/{id}/keys/{slot}/rotate": {"POST": (*call).rotateKey},
	"/usage":                                 {"GET": (*call).usageNow},
	"/usage/history":                         {"GET": (*call).usageHistory},
	"/audit":                                 {"GET": (*call).listAudit},
	"/checks":                                {"GET": (*call).check},
}

// routes puts the paths into the mux, which matches them and no methods: those
// are looked up, so that a wrong one is a problem as all others are.
func (a *API) routes() {
	for path, methods := range endpoints {
		a.mux.HandleFunc(Prefix+path, func(_ http.ResponseWriter, r *http.Request) { dispatch(r, methods) })
	}
	a.mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) { dispatch(r, nil) })
}

// dispatch has the method's own function answer.
func dispatch(r *http.Request, methods map[string]serve) {
	c := r.Context().Value(callKey{}).(*call)
	c.Request = r // which has the path's values
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if found := methods[method]; found != nil {
		c.end(found(c))
		return
	}
	if methods == nil {
		c.end(nil, &Problem{Status: http.StatusNotFound, Code: "no_such_path", Detail: "There is nothing at this path; " + Prefix + "/openapi.json says what there is."})
		return
	}
	allowed := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
	c.w.Header().Set("Allow", allowed)
	c.end(nil, &Problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "This path takes " + allowed + " only."})
}

// me says who the token is of, so that a client can tell that it is good.
func (c *call) me() (*result, error) {
	return &result{body: struct {
		Who string `json:"who"`
	}{c.who}}, nil
}
