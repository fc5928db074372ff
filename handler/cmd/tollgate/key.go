package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tollgate/handler/subscription"
)

func (a *app) keyCommand() *cobra.Command {
	return group("key", "Keys that calls carry",
		`A subscription has a primary and a secondary key; its calls may carry either, so
that one can be replaced while the other goes on. A key is printed once, alone on
stdout, and stored only as a hash under KEY_PEPPER, which must be the gateway's.
A key that was rotated away or revoked ends within a minute.`,
		`  KEY=$(tollgate key create team-a)
  tollgate key rotate team-a --slot secondary --output json
  tollgate key revoke team-a --slot primary`,
		a.keyCreate(), a.keyRotate(), a.keyRevoke())
}

func (a *app) keyCreate() *cobra.Command {
	return a.keyMaking("create", "Make a key for a slot that has none, and print it", subscription.Registry.CreateKey)
}

func (a *app) keyRotate() *cobra.Command {
	return a.keyMaking("rotate", "Replace a key, and print the new one", subscription.Registry.RotateKey)
}

// madeKey is a key as JSON shows it, this once.
type madeKey struct {
	subscription.KeyRecord
	Key string `json:"key"`
}

type makeKey func(subscription.Registry, context.Context, subscription.Pepper, string, subscription.Slot, subscription.Terms) (string, subscription.KeyRecord, error)

func (a *app) keyMaking(name, short string, makeKey makeKey) *cobra.Command {
	cmd := &cobra.Command{
		Use: name + " SUBSCRIPTION", Short: short,
		Example: fmt.Sprintf("  KEY=$(tollgate key %s team-a)\n  tollgate key %s team-a --slot secondary --output json", name, name),
		Args:    named("SUBSCRIPTION"), ValidArgsFunction: a.ids(subscriptionIDs),
	}
	slot := slotFlag(cmd, string(subscription.Primary))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		pepper, err := a.pepper()
		if err != nil {
			return err
		}
		registry, err := a.registry()
		if err != nil {
			return err
		}
		key, record, err := makeKey(registry, cmd.Context(), pepper, args[0], subscription.Slot(*slot), subscription.Terms{})
		if key == "" {
			return err
		}
		a.note("The %s key of %s follows. It is shown this once.", record.Slot, record.Subscription)
		// A key that is stored is shown even where an older one could not be taken away.
		if err := a.print(madeKey{record, key}, func(w io.Writer) { fmt.Fprintln(w, key) }); err != nil {
			return err
		}
		return err
	}
	return cmd
}

func (a *app) keyRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke SUBSCRIPTION --slot SLOT", Short: "Take a key away", Example: "  tollgate key revoke team-a --slot secondary",
		Args: named("SUBSCRIPTION"), ValidArgsFunction: a.ids(subscriptionIDs),
	}
	slot := slotFlag(cmd, "")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *slot == "" {
			return &usageError{cmd.CommandPath(), "--slot is missing: say which key, primary or secondary"}
		}
		registry, err := a.registry()
		if err != nil {
			return err
		}
		if err := registry.RevokeKey(cmd.Context(), args[0], subscription.Slot(*slot)); err != nil {
			return err
		}
		a.note("The %s key of %s is revoked; gateways refuse it within a minute.", *slot, args[0])
		return nil
	}
	return cmd
}

func slotFlag(cmd *cobra.Command, fallback string) *string {
	slot := cmd.Flags().String("slot", fallback, "which key: primary or secondary")
	complete(cmd, "slot", string(subscription.Primary), string(subscription.Secondary))
	return slot
}
