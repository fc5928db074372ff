package upstream

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
)

// failing is whether an error speaks against the deployment: it can't be reached,
// fails, or takes neither our credential nor our account, unlike a call that it
// refuses.
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

// aside is whether an error says nothing of the deployment's health: the caller
// left, it has as much to do as it may, or it isn't there.
func aside(err error) bool {
	if failed, ok := errors.AsType[*Error](err); ok {
		return failed.Reason == Left
	}
	return throttled(err) || lacking(err)
}

func throttled(err error) bool { return answered(err, http.StatusTooManyRequests) }

func lacking(err error) bool { return answered(err, http.StatusNotFound) }

func answered(err error, status int) bool {
	refused, ok := errors.AsType[*StatusError](err)
	return ok && refused.Status == status
}

// candidates are the deployments that could take a call, whatever their state.
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

// shuffle orders deployments by priority, and within one at random by weight: of
// exponential lots, each divided by its weight, any is the smallest with a
// probability in proportion to its weight.
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

// budget bounds how often calls go on from a deployment that fails: a tenth of its
// calls, ten at once, so that the others aren't called far oftener than while it
// works, as gRPC's retry throttling does.
// Source: https://github.com/grpc/proposal/blob/master/A6-client-retries.md
type budget struct {
	mu    sync.Mutex
	tenth int // of a retry
}

const (
	fullBudget = 100
	aRetry     = 10
)

func newBudget() budget { return budget{tenth: fullBudget} }

func (b *budget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tenth = min(b.tenth+1, fullBudget)
}

// left is whether there is a retry left.
func (b *budget) left() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tenth >= aRetry
}

func (b *budget) spend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tenth -= aRetry
}
