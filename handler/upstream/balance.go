package upstream

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"

	"tollgate/handler/shape"
)

// failing reports whether an error counts as the deployment's failure: it can't be
// reached, fails, or rejects Tollgate's own credential or account. Refusing a call
// isn't a failure.
func failing(err error) bool {
	if refused, ok := errors.AsType[*StatusError](err); ok {
		switch refused.Status {
		case http.StatusRequestTimeout, http.StatusFailedDependency:
			return true
		}
		if refused.Ours() {
			return true
		}
		return refused.Status >= http.StatusInternalServerError
	}
	return err != nil
}

// neutral reports whether an error says nothing about the deployment's health: the
// caller left, the deployment is throttled, or it doesn't exist.
func neutral(err error) bool {
	if failed, ok := errors.AsType[*Error](err); ok {
		return failed.Reason == Left
	}
	return throttled(err) || notFound(err)
}

func throttled(err error) bool { return hasStatus(err, http.StatusTooManyRequests) }

func notFound(err error) bool { return hasStatus(err, http.StatusNotFound) }

func hasStatus(err error, status int) bool {
	refused, ok := errors.AsType[*StatusError](err)
	return ok && refused.Status == status
}

// candidates returns the deployments that a selection allows, whatever their state. The
// error is ErrModel, ErrEndpoint, ErrOperation or ErrExtraParameters.
func (c *Client) candidates(selection Selection) ([]*deployment, error) {
	switch selection.ExtraParameters {
	case "", "error", "drop", PassThrough:
	default:
		return nil, ErrExtraParameters
	}
	var found []*deployment
	problem := ErrModel
	if selection.Endpoint != "" && !c.has(selection.Endpoint) {
		problem = ErrEndpoint
	}
	for _, e := range c.endpoints {
		if selection.Endpoint != "" && e.Name != selection.Endpoint {
			continue
		}
		own, served := e.own(selection.Model)
		if !served {
			continue
		}
		if selection.Path != nil && selection.Path(e.Shape) == "" {
			if problem == ErrModel {
				problem = ErrOperation
			}
			continue
		}
		if selection.ExtraParameters != "" && selection.ExtraParameters != PassThrough && e.Shape != shape.Models {
			problem = ErrExtraParameters
			continue
		}
		found = append(found, c.deployment(e, own))
	}
	if len(found) == 0 {
		return nil, problem
	}
	return found, nil
}

// has reports whether there is an endpoint with a name.
func (c *Client) has(name string) bool {
	return slices.ContainsFunc(c.endpoints, func(e *validEndpoint) bool { return e.Name == name })
}

// order sorts a selection's deployments by priority, and those of one priority by lot. Each
// is the first of its priority with a probability in proportion to its weight.
func order(candidates []*deployment, selection Selection) []*deployment {
	if len(candidates) == 1 {
		return candidates
	}
	type drawn struct {
		*deployment
		lot float64
	}
	draws := make([]drawn, len(candidates))
	for i, d := range candidates {
		draws[i] = drawn{d, lot(selection.Subscription, selection.Model, d.Name) / float64(d.Weight)}
	}
	slices.SortFunc(draws, func(a, b drawn) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.lot, b.lot))
	})
	ordered := make([]*deployment, len(draws))
	for i, d := range draws {
		ordered[i] = d.deployment
	}
	return ordered
}

// lot returns the number that a subscription's calls of a model draw for an endpoint. Over
// all subscriptions the numbers have an exponential distribution: divided by the weights,
// an endpoint's number is the smallest with a probability in proportion to its weight. A
// lot depends on its arguments alone, so every instance draws the same, and adding or
// removing an endpoint changes no other's lot. This is weighted rendezvous hashing.
// Source: https://en.wikipedia.org/wiki/Rendezvous_hashing#Weighted_rendezvous_hash
func lot(subscription, model, endpoint string) float64 {
	if subscription == "" {
		return rand.ExpFloat64()
	}
	h := sha256.New()
	for _, part := range []string{subscription, model, endpoint} {
		_ = binary.Write(h, binary.LittleEndian, uint64(len(part)))
		h.Write([]byte(part))
	}
	const bits = 53 // of a float64
	uniform := (float64(binary.LittleEndian.Uint64(h.Sum(nil))>>(64-bits)) + 0.5) / (1 << bits)
	return -math.Log(uniform)
}

// budget bounds how many calls to a failing deployment are retried elsewhere: ten, and
// then one in ten of its calls, so that its failure adds little to the others' load. It
// works like gRPC's retry throttling.
// Source: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
type budget struct {
	mu     sync.Mutex
	tenths int // of a retry
}

const (
	fullBudget = 100
	retryCost  = 10
)

func newBudget() budget { return budget{tenths: fullBudget} }

func (b *budget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tenths = min(b.tenths+1, fullBudget)
}

// hasRetry reports whether a retry is left.
func (b *budget) hasRetry() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tenths >= retryCost
}

func (b *budget) spend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tenths -= retryCost
}
