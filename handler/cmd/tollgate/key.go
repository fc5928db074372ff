package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"tollgate/handler/manage"
	"tollgate/handler/subscription"
)

func (a *app) keyCommand() *cobra.Command {
	return commandGroup("key", "The keys of subscriptions",
		`A subscription has a primary and a secondary key. Calls may use either, so that
one can be replaced while the other stays valid. A key is printed once, alone on
stdout; only its hash is stored, made with KEY_PEPPER, which must be the gateway's.
A key that is revoked, or rotated without an overlap, stops working within a minute.`,
		`  KEY=$(tollgate key create team-a)
  tollgate key rotate team-a --overlap 24h
  tollgate key expire team-a --slot secondary --in 720h
  tollgate key revoke team-a --slot primary`,
		a.keyCreate(), a.keyRotate(), a.keyExpire(), a.keyRevoke())
}

func (a *app) keyCreate() *cobra.Command {
	return a.keyIssueCommand("create", "Create a key for a slot that has none, and print it", "",
		"  KEY=$(tollgate key create team-a)\n  tollgate key create team-a --slot secondary --expires 2160h --output json")
}

func (a *app) keyRotate() *cobra.Command {
	return a.keyIssueCommand("rotate", "Replace a key, and print the new one", "/rotate",
		"  KEY=$(tollgate key rotate team-a)\n  tollgate key rotate team-a --slot secondary --overlap 24h")
}

// keyIssueCommand returns a command that prints a new key. subpath follows the slot's path in its
// request.
func (a *app) keyIssueCommand(name, short, subpath, example string) *cobra.Command {
	cmd := &cobra.Command{
		Use: name + " SUBSCRIPTION", Short: short, Example: example,
		Args: exactArgs("SUBSCRIPTION"), ValidArgsFunction: a.completeID(subscriptionIDs),
	}
	slot := slotFlag(cmd, string(subscription.Primary))
	expires := cmd.Flags().String("expires", "", "when the key expires: a time such as 2026-12-31T00:00:00Z, or a duration from now, such as 2160h (default: never)")
	var overlap time.Duration
	if subpath != "" {
		cmd.Flags().DurationVar(&overlap, "overlap", 0, "how long the old key stays valid, at most 2160h (default: it stops working within a minute)")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if a.server() == "" {
			if _, err := a.pepper(); err != nil {
				return err
			}
		}
		terms := make(map[string]any)
		if overlap != 0 {
			terms["overlap"] = overlap.String()
		}
		if at, err := parseMoment(cmd, "--expires", *expires); err != nil {
			return err
		} else if !at.IsZero() {
			terms["expires"] = at
		}
		var made manage.MadeKey
		if err := a.call(cmd, request{method: http.MethodPost, path: keyPath(args[0], *slot) + subpath, body: terms}, &made); err != nil {
			return err
		}
		a.note("The %s key of %s follows%s. It is shown only once.", made.Slot, made.Subscription, expiry(made.KeyRecord))
		if overlap != 0 {
			a.note("The old key stays valid until %s.", date(made.Created.Add(overlap)))
		}
		// Print the key even if the old one could not be removed: it is stored already.
		if err := a.print(made, func(w io.Writer) { fmt.Fprintln(w, made.Key) }); err != nil {
			return err
		}
		if made.Warning != "" {
			return fmt.Errorf("%s", made.Warning)
		}
		return nil
	}
	return cmd
}

func (a *app) keyExpire() *cobra.Command {
	cmd := &cobra.Command{
		Use: "expire SUBSCRIPTION --slot SLOT", Short: "Set or remove a key's expiry",
		Example: "  tollgate key expire team-a --slot primary --in 720h\n  tollgate key expire team-a --slot primary --never",
		Args:    exactArgs("SUBSCRIPTION"), ValidArgsFunction: a.completeID(subscriptionIDs),
	}
	slot := slotFlag(cmd, "")
	in := cmd.Flags().String("in", "", "when the key expires: a time such as 2026-12-31T00:00:00Z, or a duration from now, such as 720h")
	never := cmd.Flags().Bool("never", false, "remove the expiry")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at, err := parseMoment(cmd, "--in", *in)
		if err != nil {
			return err
		}
		switch {
		case *slot == "":
			return slotMissing(cmd)
		case *never == (*in != ""):
			return &usageError{cmd.CommandPath(), "say when: --in TIME or --never"}
		}
		body := map[string]any{"expires": nil}
		if !*never {
			body["expires"] = at
		}
		var record subscription.KeyRecord
		if err := a.call(cmd, request{method: http.MethodPatch, path: keyPath(args[0], *slot), body: body}, &record); err != nil {
			return err
		}
		a.note(takenUp)
		return a.print(record, func(w io.Writer) { row(w, "Key, "+string(record.Slot), "created "+date(record.Created)+expiry(record)) })
	}
	return cmd
}

func (a *app) keyRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke SUBSCRIPTION --slot SLOT", Short: "Revoke a key", Example: "  tollgate key revoke team-a --slot secondary",
		Args: exactArgs("SUBSCRIPTION"), ValidArgsFunction: a.completeID(subscriptionIDs),
	}
	slot := slotFlag(cmd, "")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *slot == "" {
			return slotMissing(cmd)
		}
		if err := a.call(cmd, request{method: http.MethodDelete, path: keyPath(args[0], *slot)}, nil); err != nil {
			return err
		}
		a.note("The %s key of %s is revoked; gateways refuse it within a minute.", *slot, args[0])
		return nil
	}
	return cmd
}

func slotMissing(cmd *cobra.Command) error {
	return &usageError{cmd.CommandPath(), "--slot is missing: use primary or secondary"}
}

func keyPath(id, slot string) string { return subscriptionPath(id) + "/keys/" + url.PathEscape(slot) }

// expiry formats a key's expiry, to follow its creation time.
func expiry(k subscription.KeyRecord) string {
	switch {
	case k.Expires.IsZero():
		return ""
	case k.Expired(time.Now()):
		return ", expired " + date(k.Expires)
	}
	return ", expires " + date(k.Expires)
}

// parseMoment reads a flag's time or duration from now; zero if the flag is empty.
func parseMoment(cmd *cobra.Command, flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC(), nil
	}
	if in, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(in).UTC().Truncate(time.Second), nil
	}
	return time.Time{}, &usageError{cmd.CommandPath(), fmt.Sprintf("%s is %q: use a time such as 2026-12-31T00:00:00Z, or a duration from now, such as 720h", flag, text)}
}

// slotFlag adds the flag that selects a key.
func slotFlag(cmd *cobra.Command, fallback string) *string {
	slot := cmd.Flags().String("slot", fallback, "which key: primary or secondary")
	complete(cmd, "slot", string(subscription.Primary), string(subscription.Secondary))
	return slot
}
