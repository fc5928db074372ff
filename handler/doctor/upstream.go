package doctor

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"tollgate/handler/manage"
	"tollgate/handler/operation/all"
	"tollgate/handler/shape"
	"tollgate/handler/upstream"
)

// Endpoints returns checks for each valid endpoint: that the identity gets a token, for
// endpoints without a key, and that the endpoint accepts a call of one of the models.
func Endpoints(all []upstream.Endpoint, models []string) []manage.Check {
	endpoints := slices.DeleteFunc(slices.Clone(all), func(e upstream.Endpoint) bool { // the settings check reports invalid ones
		return len(upstream.Validate([]upstream.Endpoint{e})) > 0
	})
	if len(endpoints) == 0 {
		return nil
	}
	identified, err := upstream.WithTokens(endpoints)
	if err != nil {
		return []manage.Check{{Name: "identity", Run: func(context.Context) (string, error) { return "", err }}}
	}
	var checks []manage.Check
	for _, e := range identified {
		if e.Key.Empty() {
			checks = append(checks, Identity("the models", e.Token))
		}
		checks = append(checks, Upstream(e, firstServed(e, models)))
	}
	return checks
}

// firstServed returns the first of the models that an endpoint serves.
func firstServed(e upstream.Endpoint, models []string) string {
	if i := slices.IndexFunc(models, e.Serves); i >= 0 {
		return models[i]
	}
	return "its model"
}

// Upstream checks that an endpoint accepts calls for a model with its credential.
func Upstream(endpoint upstream.Endpoint, model string) manage.Check {
	return manage.Check{Name: "upstream", Run: func(ctx context.Context) (string, error) {
		status, err := upstream.Probe(ctx, endpoint, model, pathAt(endpoint.Shape))
		switch {
		case err != nil:
			return "", fmt.Errorf("%s can't be reached: %s", endpoint.URL, unreachableFix(err))
		case status == http.StatusUnauthorized || status == http.StatusForbidden:
			return "", fmt.Errorf("%s refuses the credential with %d: %s", endpoint.URL, status, credentialFix(endpoint))
		case status == http.StatusNotFound:
			return "", fmt.Errorf("%s has nothing at the address that calls for %s go to (404): check the URL, the shape %s, and the deployment's name", endpoint.URL, model, endpoint.Shape)
		case status == http.StatusPaymentRequired || status == http.StatusProxyAuthRequired:
			return "", fmt.Errorf("%s answers %d: check the account's billing and any proxy before it", endpoint.URL, status)
		case status >= 300 && status < 400:
			return "", fmt.Errorf("%s redirects (%d), which calls don't follow: use the address that it redirects to", endpoint.URL, status)
		case status >= 500:
			return "", fmt.Errorf("%s answers %d: it, or a proxy before it, is failing", endpoint.URL, status)
		}
		return endpoint.URL + " answers and accepts the credential", nil
	}}
}

// pathAt returns the path of some operation at endpoints of a shape.
func pathAt(s shape.Shape) string {
	for _, o := range all.Operations {
		if path := o.Upstream[s]; path != "" && !o.Free {
			return path
		}
	}
	return ""
}

// credentialFix returns the fix for a refused credential.
func credentialFix(endpoint upstream.Endpoint) string {
	if endpoint.Key.Empty() {
		return "give the identity the role Cognitive Services User on the resource"
	}
	return "set UPSTREAM_API_KEY, or the endpoint's credential in UPSTREAMS, to the resource's key"
}
