// Package doctor checks what a gateway needs, and says what is wrong and how to fix it. The
// command line runs its checks with the operator's login, a deployed gateway with its own
// identity.
//
// Each function returns one or more values of manage.Check, which package app selects and
// package manage runs.
//
// Start reading at Tables.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"tollgate/handler/counter"
	"tollgate/handler/manage"
	"tollgate/handler/subscription"
)

// maxSkew is the accepted difference between this machine's clock and the table
// service's, by which minutes begin. The service's Date header has whole seconds.
const maxSkew = 2 * time.Second

// Tables returns three checks. The first checks that rows can be written, read and deleted,
// with probe, and that every subscription is valid with its tier and groups. The second
// compares this machine's clock with the time that probe returned. The third looks for limits
// that have no effect.
func Tables(probe func(context.Context) (time.Time, error), directory subscription.Store) []manage.Check {
	var probed atomic.Pointer[clocks] // checks may run concurrently
	return []manage.Check{
		{Name: "tables", Run: func(ctx context.Context) (string, error) {
			service, err := probe(ctx)
			if err != nil {
				probed.Store(nil)
				return "", err
			}
			probed.Store(&clocks{service, time.Now()})
			return checkDirectory(ctx, directory)
		}},
		{Name: "clock", Run: func(context.Context) (string, error) { return compareClocks(probed.Load()) }},
		{Name: "limits", Run: func(ctx context.Context) (string, error) { return checkLimits(ctx, directory) }},
	}
}

// clocks holds the table service's and this machine's time at one moment.
type clocks struct{ service, local time.Time }

// compareClocks checks the difference of the clocks; nil: the tables were unreachable.
func compareClocks(at *clocks) (string, error) {
	if at == nil {
		return "", errors.New("not compared, because the tables can't be reached")
	}
	skew := at.local.Sub(at.service)
	if skew >= 0 {
		skew = max(0, skew-time.Second) // the service's time is truncated to seconds
	}
	if skew.Abs() > maxSkew {
		return "", fmt.Errorf("this machine's clock is %s %s the table service's: synchronize it with a time server", skew.Abs().Round(time.Second), direction(skew))
	}
	return "within " + maxSkew.String() + " of the table service's", nil
}

// direction returns the words for the sign of a skew.
func direction(skew time.Duration) string {
	if skew > 0 {
		return "ahead of"
	}
	return "behind"
}

// Counters checks that every counter can be read.
func Counters(stored func(context.Context) iter.Seq2[counter.Entry, error]) manage.Check {
	return manage.Check{Name: "counters", Run: func(ctx context.Context) (string, error) {
		var wrong []string
		all := 0
		for c, err := range stored(ctx) {
			if err != nil && c.Key == "" {
				return "", err
			}
			if all++; err != nil {
				wrong = append(wrong, fmt.Sprintf("%s: %v", c.Key, err))
			}
		}
		if wrong != nil {
			return "", errors.New(firstFew(wrong))
		}
		return plural(all, "counter") + ", all readable", nil
	}}
}

// Pepper checks that the pepper is the one that the stored keys were hashed with.
func Pepper(pepper subscription.Pepper, directory subscription.Store) manage.Check {
	return manage.Check{Name: "pepper", Run: func(ctx context.Context) (string, error) {
		switch err := (subscription.Registry{Store: directory}).ComparePepper(ctx, pepper); {
		case errors.Is(err, subscription.ErrNotFound):
			return "KEY_PEPPER is set. No key was created and no gateway started yet, so there is nothing to compare it with", nil
		case err != nil:
			return "", err
		}
		return "KEY_PEPPER is the one that the keys in the tables were hashed with", nil
	}}
}

// Identity checks that the identity gets a token for a resource.
func Identity(resource string, token func(context.Context) (string, error)) manage.Check {
	return manage.Check{Name: "identity", Run: func(ctx context.Context) (string, error) {
		if _, err := token(ctx); err != nil {
			first, _, _ := strings.Cut(err.Error(), "\n")
			return "", fmt.Errorf("no token for %s: %s: give the app an identity, or log in with az login", resource, first)
		}
		return "got a token for " + resource, nil
	}}
}

// Reachable checks that a server answers at an address. Any answer counts, because the
// request has no credential.
func Reachable(name, address string) manage.Check {
	return manage.Check{Name: name, Run: func(ctx context.Context) (string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return "", fmt.Errorf("%s is not a valid URL", address)
		}
		transport := &http.Transport{DisableKeepAlives: true} // without a proxy, like the gateway
		response, err := transport.RoundTrip(request)
		if err != nil {
			return "", fmt.Errorf("%s can't be reached: %s", address, unreachableFix(err))
		}
		_ = response.Body.Close()
		return fmt.Sprintf("%s answers", address), nil
	}}
}

// unreachableFix returns the cause and the fix for an address that doesn't answer.
func unreachableFix(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return "host " + dns.Name + " doesn't resolve: check the name and the network's DNS"
	}
	return err.Error() + ": check the address, the firewall and the private endpoint"
}

// firstFew joins the first five texts and says how many more there are.
func firstFew(all []string) string {
	const few = 5
	if len(all) <= few {
		return strings.Join(all, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(all[:few], "; "), len(all)-few)
}

// plural returns a number with its noun.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
