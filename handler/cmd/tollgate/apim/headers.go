package apim

import (
	"maps"
	"slices"
	"strings"

	"tollgate/handler/config"
)

// headers lists API Management's attributes for header names with Tollgate's settings. If
// two use the same name, the first one gets it.
var headers = []struct{ attribute, setting string }{
	{"remaining-tokens-header-name", "REMAINING_TOKENS_HEADER"},
	{"tokens-consumed-header-name", "TOKENS_CONSUMED_HEADER"},
	{"remaining-quota-tokens-header-name", "REMAINING_QUOTA_TOKENS_HEADER"},
	{"retry-after-header-name", "RETRY_AFTER_HEADER"},
}

// limitAttributes lists the attributes that limits are read from. The functions that read them
// report what is lost.
var limitAttributes = []string{"counter-key", "tokens-per-minute", "token-quota", "token-quota-period", "estimate-prompt-tokens", "id",
	"calls", "renewal-period", "increment-condition", "increment-count", "bandwidth", "first-period-start"}

// fixedHeaders holds the attributes of headers whose counterpart has a fixed name.
var fixedHeaders = map[string]string{
	"remaining-calls-header-name": "x-ratelimit-remaining-requests",
	"total-calls-header-name":     "x-ratelimit-limit-requests",
}

// attributes records the headers that a limit names, and reports attributes without a
// counterpart as lost.
func (r *reading) attributes(e element) {
	if r.named == nil {
		r.named = make(map[string]string)
	}
	for _, name := range slices.Sorted(maps.Keys(e.attributes)) {
		value := e.attributes[name]
		isHeader := slices.ContainsFunc(headers, func(h struct{ attribute, setting string }) bool { return h.attribute == name })
		switch other := r.named[name]; {
		case slices.Contains(limitAttributes, name):
		case isHeader && other != "" && !strings.EqualFold(other, value):
			r.lose("%s is %s for one limit and %s for another: the first is kept", name, other, value)
		case isHeader && other == "":
			r.named[name] = value
		case isHeader:
		case fixedHeaders[name] != "":
			r.lose("%s %s: the header %s has the same value", name, value, fixedHeaders[name])
		case strings.HasSuffix(name, "-variable-name"):
			r.lose("%s: there are no policy variables; the headers have the same values", name)
		default:
			r.lose("%s: it has no counterpart", name)
		}
	}
}

// headers sets the gateway's settings for header names.
func (r *reading) headers() {
	asked := make(map[string]string)
	for _, h := range headers {
		value := strings.TrimSpace(r.named[h.attribute])
		switch {
		case value == "":
		case computed(value):
			r.lose("%s is %s, which is computed: set %s to its value", h.attribute, value, h.setting)
		default:
			asked[h.setting] = value
		}
	}
	if checkHeaders(asked) == nil { // checked together, since names may be swapped
		maps.Copy(r.Settings, asked)
		return
	}
	for _, h := range headers {
		value, ok := asked[h.setting]
		if !ok {
			continue
		}
		r.Settings[h.setting] = value
		if err := checkHeaders(r.Settings); err != nil {
			delete(r.Settings, h.setting)
			r.lose("%s: the gateway refuses this name: %s", h.attribute, strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
}

func checkHeaders(settings map[string]string) error {
	return config.CheckHeaderNames(func(name string) string { return settings[name] })
}
