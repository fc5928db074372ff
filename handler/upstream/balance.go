package upstream

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
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

func throttled(err error) bool { return answered(err, http.StatusTooManyRequests) }

func notFound(err error) bool { return answered(err, http.StatusNotFound) }

func answered(err error, status int) bool {
	refused, ok := errors.AsType[*StatusError](err)
	return ok && refused.Status == status
}

// candidates returns the deployments that serve a call's model, whatever their
// state. The error is ErrModel or ErrExtraParameters.
func (c *Client) candidates(call *Call) ([]*deployment, error) {
	switch call.ExtraParameters {
	case "", "error", "drop", PassThrough:
	default:
		return nil, ErrExtraParameters
	}
	var found []*deployment
	problem := ErrModel
	for _, e := range c.endpoints {
		own, served := e.own(call.Model)
		if !served {
			continue
		}
		if call.ExtraParameters != "" && call.ExtraParameters != PassThrough && e.Shape != Models {
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

// shuffle orders deployments by priority, and those of one priority at random by
// weight: it draws an exponential number for each and divides it by the weight, so
// that each is the smallest with a probability in proportion to its weight.
func shuffle(candidates []*deployment) []*deployment {
	type drawn struct {
		*deployment
		lot float64
	}
	draws := make([]drawn, len(candidates))
	for i, d := range candidates {
		draws[i] = drawn{d, rand.ExpFloat64() / float64(d.Weight)}
	}
	slices.SortFunc(draws, func(a, b drawn) int {
		if a.Priority != b.Priority || a.lot == b.lot {
			return a.Priority - b.Priority
		}
		if a.lot < b.lot {
			return -1
		}
		return 1
	})
	ordered := make([]*deployment, len(draws))
	for i, d := range draws {
		ordered[i] = d.deployment
	}
	return ordered
}

// budget bounds how many calls to a failing deployment are retried elsewhere: ten,
// then one in ten of its calls. So its failure adds little to the others' load.
// gRPC's retry throttling works like this.
// Source: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
type budget struct {
	mu     sync.Mutex
	tenths int // of a retry
}

const (
	fullBudget = 100
	aRetry     = 10
)

func newBudget() budget { return budget{tenths: fullBudget} }

func (b *budget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tenths = min(b.tenths+1, fullBudget)
}

// left reports whether a retry is left.
func (b *budget) left() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tenths >= aRetry
}

func (b *budget) spend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tenths -= aRetry
}
