package manage

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// An action answers an authenticated call.
type action func(*call) (*result, error)

// endpoints holds the actions by path below Prefix, then by method.
var endpoints = map[string]map[string]action{
	"/me":                                    {"GET": (*call).readMe},
	"/tiers":                                 {"GET": (*call).listTiers},
	"/tiers/{id}":                            {"GET": (*call).readTier, "PUT": (*call).putTier, "PATCH": (*call).patchTier, "DELETE": (*call).deleteTier},
	"/groups":                                {"GET": (*call).listGroups},
	"/groups/{id}":                           {"GET": (*call).readGroup, "PUT": (*call).putGroup, "PATCH": (*call).patchGroup, "DELETE": (*call).deleteGroup},
	"/subscriptions":                         {"GET": (*call).listSubscriptions},
	"/subscriptions/{id}":                    {"GET": (*call).readSubscription, "PUT": (*call).putSubscription, "PATCH": (*call).patchSubscription, "DELETE": (*call).deleteSubscription},
	"/subscriptions/{id}/keys/{slot}":        {"POST": (*call).createKey, "PATCH": (*call).expireKey, "DELETE": (*call).revokeKey},
	"/subscriptions/{id}/keys/{slot}/rotate": {"POST": (*call).rotateKey},
	"/prices":                                {"GET": (*call).listPrices},
	"/prices/{model}/{from}":                 {"GET": (*call).readPrice, "PUT": (*call).putPrice, "DELETE": (*call).deletePrice},
	"/prices/check":                          {"GET": (*call).checkPrices},
	"/prices/currency":                       {"GET": (*call).readCurrency, "PUT": (*call).putCurrency},
	"/usage":                                 {"GET": (*call).listUsage},
	"/usage/history":                         {"GET": (*call).listHistory},
	"/usage/now":                             {"GET": (*call).readNow},
	"/usage/top":                             {"GET": (*call).listTop},
	"/report":                                {"GET": (*call).readReport},
	"/audit":                                 {"GET": (*call).listAudit},
	"/checks":                                {"GET": (*call).readChecks},
}

// noRoute is logged in place of a route for paths that match none.
const noRoute = "(no route)"

// descriptionPath is the one path that can be read without a token.
const descriptionPath = Prefix + "/openapi.json"

// routes registers the paths. The mux matches paths only; dispatch matches methods, so
// that a wrong method is answered with a problem like other errors.
func (a *API) routes() {
	for path, methods := range endpoints {
		a.mux.HandleFunc(Prefix+path, func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, Prefix+path, methods) })
	}
	a.mux.HandleFunc(descriptionPath, a.serveDescription)
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, noRoute, nil) })
}

// serveDescription answers with the description of the API.
func (a *API) serveDescription(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		a.serve(w, r, descriptionPath, nil)
		return
	}
	c := &call{Request: r, w: w, api: a, route: descriptionPath, started: time.Now()}
	c.finish(&result{rawBody: OpenAPI}, nil)
}

// dispatch answers the call with the action for its method. nil methods mean that the
// path has no route.
func (c *call) dispatch(methods map[string]action) (*result, error) {
	method := c.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if act := methods[method]; act != nil {
		return act(c)
	}
	if methods == nil {
		return nil, &Problem{Status: http.StatusNotFound, Code: "no_such_path", Detail: "Nothing is at this path. See " + descriptionPath + " for the paths of the API."}
	}
	allowed := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
	c.w.Header().Set("Allow", allowed)
	return nil, &Problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "This path accepts " + allowed + " only."}
}

// readMe answers with the operator's name, so that a client can test its token.
func (c *call) readMe() (*result, error) {
	return &result{body: struct {
		Who string `json:"who"`
	}{c.operator}}, nil
}
