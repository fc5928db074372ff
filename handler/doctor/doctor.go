// Package doctor looks into what a gateway needs and says what is wrong with
// it, and what to do: for the command line, with an operator's own login, and
// for a deployed gateway, with its own.
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

// mostSkew is how far this machine's clock may be from the table service's,
// whose Date is in whole seconds: minutes begin by the service's time.
const mostSkew = 2 * time.Second

// Tables looks whether rows can be written, read and deleted, as probe does,
// and whether what the directory holds fits together; then, as a check of its
// own, whether the clocks agree.
func Tables(probe func(context.Context) (time.Time, error), directory subscription.Store) []manage.Check {
	var probed atomic.Pointer[clocks] // several operators may look at once
	return []manage.Check{
		{Name: "tables", Run: func(ctx context.Context) (string, error) {
			there, err := probe(ctx)
			if err != nil {
				probed.Store(nil)
				return "", err
			}
			probed.Store(&clocks{there, time.Now()})
			return consistent(ctx, directory)
		}},
		{Name: "clock", Run: func(context.Context) (string, error) { return agree(probed.Load()) }},
	}
}

// consistent looks whether every subscription fits its tier.
func consistent(ctx context.Context, directory subscription.Store) (string, error) {
	tiers, e1 := directory.Tiers(ctx)
	subs, e2 := directory.Subscriptions(ctx)
	if err := errors.Join(e1, e2); err != nil {
		return "", err
	}
	known := make(map[string]subscription.Tier)
	for _, t := range tiers {
		known[t.ID] = t
	}
	var wrong []string
	for _, s := range subs {
		tier, there := known[s.Tier]
		if !there {
			wrong = append(wrong, fmt.Sprintf("subscription %s names tier %s, which there isn't: make the tier, or name another", s.ID, s.Tier))
		} else if err := s.Check(tier); err != nil {
			wrong = append(wrong, fmt.Sprintf("subscription %s: %s", s.ID, strings.ReplaceAll(err.Error(), "\n", "; ")))
		}
	}
	if wrong != nil {
		return "", errors.New(some(wrong))
	}
	said := fmt.Sprintf("rows can be written, read and deleted; %s, %s", count(len(tiers), "tier"), count(len(subs), "subscription"))
	if invented := byCallersWord(tiers, subs, known); invented != nil {
		said += ". Mind that a caller can have a limit of its own for every value it invents of a header: " + some(invented) +
			". Count by a header only where a proxy of yours sets it and nobody gets around that proxy"
	}
	return said, nil
}

// byCallersWord names the tiers and subscriptions that count by what callers write.
func byCallersWord(tiers []subscription.Tier, subs []subscription.Subscription, known map[string]subscription.Tier) (found []string) {
	look := func(what, id string, l *subscription.Limits) {
		if headers := l.CounterKey.Headers(); headers != nil {
			found = append(found, fmt.Sprintf("%s %s counts by %s", what, id, strings.Join(headers, " and ")))
		}
	}
	for _, t := range tiers {
		look("tier", t.ID, &t.Limits)
	}
	for _, s := range subs {
		tier := known[s.Tier]
		if own, err := s.Effective(tier); err == nil && own.CounterKey != tier.CounterKey {
			look("subscription", s.ID, &own.Limits)
		}
	}
	return found
}

// clocks are what time it was at one moment: at the tables, and here.
type clocks struct{ there, here time.Time }

// agree compares the clocks; nil: they couldn't be read.
func agree(at *clocks) (string, error) {
	if at == nil {
		return "", errors.New("not compared, because the tables can't be reached")
	}
	skew := at.here.Sub(at.there)
	if skew >= 0 {
		skew = max(0, skew-time.Second) // the service's time is cut to a second
	}
	if skew.Abs() > mostSkew {
		return "", fmt.Errorf("this machine's clock is %s %s the table service's: set it by a time server", skew.Abs().Round(time.Second), ahead(skew))
	}
	return "within " + mostSkew.String() + " of the table service's", nil
}

func ahead(skew time.Duration) string {
	if skew > 0 {
		return "ahead of"
	}
	return "behind"
}

// Counters looks whether every counter can be read.
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
			return "", errors.New(some(wrong))
		}
		return count(all, "counter") + ", all readable", nil
	}}
}

// Pepper looks whether keys can be hashed, and are under the pepper that those in
// the tables were made under; fault is what is wrong with the pepper itself.
func Pepper(pepper subscription.Pepper, fault error, directory subscription.Store) manage.Check {
	return manage.Check{Name: "pepper", Run: func(ctx context.Context) (string, error) {
		if fault != nil {
			return "", fmt.Errorf("KEY_PEPPER %w", fault)
		}
		switch err := (subscription.Registry{Store: directory}).ComparePepper(ctx, pepper); {
		case errors.Is(err, subscription.ErrNotFound):
			return "KEY_PEPPER is set; no gateway has started yet and no key was made, so there is nothing to compare it with", nil
		case err != nil:
			return "", err
		}
		return "KEY_PEPPER is the one that the tables' keys are made under", nil
	}}
}

// Identity looks whether an identity gets a token for what it is to reach.
func Identity(of string, token func(context.Context) (string, error)) manage.Check {
	return manage.Check{Name: "identity", Run: func(ctx context.Context) (string, error) {
		if _, err := token(ctx); err != nil {
			first, _, _ := strings.Cut(err.Error(), "\n")
			return "", fmt.Errorf("no token for %s: %s: give the app an identity, or log in with az login", of, first)
		}
		return "a token for " + of + " was given", nil
	}}
}

// Reachable looks whether something answers at an address, whatever it says to
// a request that has no credential.
func Reachable(name, address string) manage.Check {
	return manage.Check{Name: name, Run: func(ctx context.Context) (string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return "", fmt.Errorf("%s is no address", address)
		}
		transport := &http.Transport{DisableKeepAlives: true, ForceAttemptHTTP2: true} // no proxy: the gateway uses none
		response, err := transport.RoundTrip(request)
		if err != nil {
			return "", fmt.Errorf("%s can't be reached: %s", address, unreachable(err))
		}
		_ = response.Body.Close()
		return fmt.Sprintf("%s answers", address), nil
	}}
}

// unreachable is what to do about an address that doesn't answer.
func unreachable(err error) string {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return "there is no host " + dns.Name + ": check the name, and the network's DNS"
	}
	return err.Error() + ": check the address, the firewall and the private endpoint"
}

// some joins the first few of many.
func some(all []string) string {
	const few = 5
	if len(all) <= few {
		return strings.Join(all, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(all[:few], "; "), len(all)-few)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
