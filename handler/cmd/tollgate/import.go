package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"tollgate/handler/cmd/tollgate/apim"
	"tollgate/handler/manage"
	"tollgate/handler/subscription"
)

// importFlags holds the flags of import.
type importFlags struct {
	policy, subscriptions, tier, product, keys string
	dryRun                                     bool
}

func (a *app) importCommand() *cobra.Command {
	var options importFlags
	cmd := &cobra.Command{
		Use:   "import --tier TIER --policy FILE",
		Short: "Create a tier and subscriptions from those of API Management",
		Long: `Create a tier from an API Management policy with llm-token-limit, rate-limit or
quota, and subscriptions from a subscription list, and say what could not be
carried over.
Existing tiers and subscriptions are not changed. Export the two with

  az rest --url ".../apis/<api>/policies/policy?api-version=2024-05-01&format=xml"
  az rest --url ".../service/<name>/subscriptions?api-version=2024-05-01"

API Management's keys can't be carried over, because Tollgate's keys have their
own format. With --keys-to new keys are created and written to a file that only
you can read; hand them out and delete it.`,
		Example: `  tollgate import --tier gold --policy policy.xml --dry-run
  tollgate import --tier gold --policy policy.xml --subscriptions subscriptions.json --product gold --keys-to keys.csv`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.importAll(cmd, options) },
	}
	flags := cmd.Flags()
	flags.StringVar(&options.tier, "tier", "", "the tier to create, and to give to the subscriptions")
	flags.StringVar(&options.policy, "policy", "", "the policy document, as XML or as az rest prints it (default: none, the tier exists already)")
	flags.StringVar(&options.subscriptions, "subscriptions", "", "the subscription list, as JSON")
	flags.StringVar(&options.product, "product", "", "only subscriptions of this product")
	flags.StringVar(&options.keys, "keys-to", "", "a file to write new primary keys to, as CSV; it must not exist")
	flags.BoolVar(&options.dryRun, "dry-run", false, "show what would be created, and change nothing")
	a.completeTier(cmd)
	return cmd
}

// An imported is the result of importing one tier or subscription.
type imported struct {
	Kind   string `json:"kind"`
	ID     string `json:"id"`
	From   string `json:"from,omitempty"`
	Result string `json:"result"`
	// Limits are those of a tier that was created, or would be.
	Limits []subscription.Limit `json:"limits,omitempty"`
	Lost   []string             `json:"lost,omitempty"`
}

// An importReport is the result of an import.
type importReport struct {
	Items []imported `json:"items"`
	// Settings are the gateway's settings for the same header and metric names.
	Settings map[string]string `json:"settings,omitempty"`
}

func (a *app) importAll(cmd *cobra.Command, options importFlags) error {
	policy, subs, err := options.read(cmd)
	if err != nil {
		return err
	}
	client, err := a.client()
	if err != nil {
		return err
	}
	run := &importing{app: a, client: client, importFlags: options}
	if options.keys != "" && !options.dryRun {
		if a.server() == "" {
			if _, err := a.pepper(); err != nil {
				return err
			}
		}
		file, err := os.OpenFile(options.keys, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("--keys-to: %w", err)
		}
		defer file.Close()
		run.keys = csv.NewWriter(file)
		if err := run.keys.Write([]string{"subscription", "slot", "key"}); err != nil {
			return fmt.Errorf("--keys-to: %w", err)
		}
	}
	err = run.all(cmd.Context(), policy, subs)
	if err != nil && len(run.report.Items) == 0 {
		return err
	}
	return errors.Join(a.printImport(run.report), err)
}

// read reads the files that the flags name.
func (f importFlags) read(cmd *cobra.Command) (policy *apim.Policy, subs []apim.Subscription, err error) {
	switch {
	case f.tier == "":
		return nil, nil, &usageError{cmd.CommandPath(), "--tier is missing: name the tier to create"}
	case f.policy == "" && f.subscriptions == "":
		return nil, nil, &usageError{cmd.CommandPath(), "--policy and --subscriptions are missing: name one or both"}
	}
	if f.policy != "" {
		text, err := os.ReadFile(f.policy)
		if err != nil {
			return nil, nil, &usageError{cmd.CommandPath(), "--policy: " + err.Error()}
		}
		read, err := apim.ReadPolicy(text)
		if err != nil {
			return nil, nil, &usageError{cmd.CommandPath(), f.policy + ": " + err.Error()}
		}
		policy = &read
	}
	if f.subscriptions != "" {
		text, err := os.ReadFile(f.subscriptions)
		if err != nil {
			return nil, nil, &usageError{cmd.CommandPath(), "--subscriptions: " + err.Error()}
		}
		if subs, err = apim.ReadSubscriptions(text); err != nil {
			return nil, nil, &usageError{cmd.CommandPath(), f.subscriptions + ": " + err.Error()}
		}
		subs = slices.DeleteFunc(subs, func(s apim.Subscription) bool { return f.product != "" && s.Product != f.product })
	}
	return policy, subs, nil
}

// An importing is the state of a running import.
type importing struct {
	*app
	importFlags
	client *client
	keys   *csv.Writer // for new keys; nil: create none
	report importReport
}

// all creates the tier, then the subscriptions. It stops if the tier can't be created; a
// subscription that can't be created doesn't stop the others.
func (i *importing) all(ctx context.Context, policy *apim.Policy, subs []apim.Subscription) error {
	if policy != nil {
		i.report.Settings = policy.Settings
		if err := policy.Validate(i.tier); err != nil {
			i.report.Items = append(i.report.Items, imported{Kind: "tier", ID: i.tier, From: i.policy, Result: "can't be created", Lost: policy.Lost})
			return fmt.Errorf("the policy can't become a tier: %w", err)
		}
		item := imported{Kind: "tier", ID: i.tier, From: i.policy, Lost: policy.Lost}
		var err error
		if item.Result, err = i.make(ctx, tierPath(i.tier), policy.Rules); item.Result == resultCreated || item.Result == resultWouldBeCreated {
			item.Limits = policy.Rules.Limits
		}
		i.report.Items = append(i.report.Items, item)
		if err != nil {
			return err
		}
	} else if err := i.client.do(ctx, request{method: http.MethodGet, path: tierPath(i.tier)}, nil); err != nil {
		return err // subscriptions need the tier
	}
	var failed int
	defer i.progress("")
	for n, s := range subs {
		i.progress("%d of %d subscriptions", n, len(subs))
		item, err := i.subscribe(ctx, s)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			failed++
			item.Result = "failed: " + err.Error()
		}
		i.report.Items = append(i.report.Items, item)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d subscriptions could not be created; fix the cause and run the import again: it doesn't change what exists", failed, len(subs))
	}
	return nil
}

// The results of make and wouldMake where the resource doesn't exist yet.
const (
	resultCreated        = "created"
	resultWouldBeCreated = "would be created"
)

// make creates the resource at a path unless it exists.
func (i *importing) make(ctx context.Context, path string, body any) (result string, err error) {
	if i.dryRun {
		return i.wouldMake(ctx, path)
	}
	err = i.client.do(ctx, request{method: http.MethodPut, path: path, body: body, mustNotExist: true}, nil)
	if p, ok := errors.AsType[*manage.Problem](err); ok && p.Code == manage.CodeExists {
		return "exists already, and stays unchanged", nil
	}
	if err != nil {
		return "failed: " + err.Error(), err
	}
	return resultCreated, nil
}

// wouldMake returns the result that make would have, without changing anything.
func (i *importing) wouldMake(ctx context.Context, path string) (result string, err error) {
	err = i.client.do(ctx, request{method: http.MethodGet, path: path}, nil)
	if p, ok := errors.AsType[*manage.Problem](err); ok && p.Code == manage.CodeNotFound {
		return resultWouldBeCreated, nil
	}
	if err != nil {
		return "failed: " + err.Error(), err
	}
	return "exists already, and would stay unchanged", nil
}

// subscribe creates a subscription unless it exists and, if the flags ask for keys, its key.
func (i *importing) subscribe(ctx context.Context, s apim.Subscription) (imported, error) {
	item := imported{Kind: "subscription", ID: s.ID, From: s.From, Lost: s.Lost}
	if i.importFlags.keys == "" {
		item.Lost = append(item.Lost, "its keys: create one with 'tollgate key create "+s.ID+"'")
	}
	if !s.Expires.IsZero() && i.importFlags.keys == "" {
		item.Lost = append(item.Lost, "its expiry on "+date(s.Expires)+": set it with 'tollgate key create --expires'")
	}
	if !s.Expires.IsZero() && i.importFlags.keys != "" && !s.Expires.After(time.Now()) {
		item.Lost = append(item.Lost, "its expiry on "+date(s.Expires)+", which has passed: its new key doesn't expire; set a time with 'tollgate key expire "+s.ID+"'")
	}
	var err error
	item.Result, err = i.make(ctx, subscriptionPath(s.ID), map[string]any{"tier": i.tier, "name": s.Name, "suspended": s.Suspended})
	if err != nil || i.keys == nil || item.Result != resultCreated {
		return item, err
	}
	terms := make(map[string]any)
	if s.Expires.After(time.Now()) {
		terms["expires"] = s.Expires
	}
	var key manage.MadeKey
	if err := i.client.do(ctx, request{method: http.MethodPost, path: keyPath(s.ID, string(subscription.Primary)), body: terms}, &key); err != nil {
		return item, fmt.Errorf("it was created without a key: %w", err)
	}
	item.Result = "created, with a new key"
	err = i.keys.Write([]string{s.ID, string(key.Slot), key.Key})
	i.keys.Flush() // after each key, so that a later failure doesn't lose it
	if err = errors.Join(err, i.keys.Error()); err != nil {
		return item, fmt.Errorf("its key could not be written: rotate it: %w", err)
	}
	return item, nil
}

func (a *app) printImport(report importReport) error {
	report.Items = notNil(report.Items)
	for i, item := range report.Items { // text from a policy must not reach a terminal uncleaned, not even as JSON
		report.Items[i].From, report.Items[i].Result = clean(item.From), clean(item.Result)
		for n, lost := range item.Lost {
			item.Lost[n] = clean(lost)
		}
	}
	for name, value := range report.Settings {
		report.Settings[name] = clean(value)
	}
	return a.print(report, func(w io.Writer) {
		row(w, "KIND", "ID", "FROM", "RESULT")
		for _, item := range report.Items {
			row(w, item.Kind, item.ID, item.From, item.Result)
		}
		printImportedLimits(w, report.Items)
		if len(report.Settings) > 0 {
			fmt.Fprintln(w, "\nTo name headers and metrics as API Management did, set:")
			for _, name := range slices.Sorted(maps.Keys(report.Settings)) {
				fmt.Fprintf(w, "  %s=%s\n", name, report.Settings[name])
			}
		}
		printLost(w, report.Items)
	})
}

// printImportedLimits prints the limits of the tiers.
func printImportedLimits(w io.Writer, items []imported) {
	for _, item := range items {
		if len(item.Limits) == 0 {
			continue
		}
		fmt.Fprintf(w, "\nLimits of %s %s:\n", item.Kind, item.ID)
		row(w, "NAME", "UNIT", "PER MINUTE", "QUOTA", "COUNTED BY")
		for _, l := range item.Limits {
			row(w, l.Name, string(l.Unit), number(l.PerMinute), ifElse(l.Quota > 0, number(l.Quota)+" "+string(l.Period), ""), string(l.CounterKey))
		}
	}
}

// printLost prints what could not be carried over.
func printLost(w io.Writer, items []imported) {
	heading := "\nNot carried over:\n"
	for _, item := range items {
		for _, lost := range item.Lost {
			fmt.Fprintf(w, "%s  %s %s: %s\n", heading, item.Kind, item.ID, lost)
			heading = ""
		}
	}
}
