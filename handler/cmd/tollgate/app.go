package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	wiring "tollgate/handler/app"
	"tollgate/handler/subscription"
)

// An app holds what commands share: their settings, connection and outputs.
type app struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
	tables         wiring.TableNames

	// persistent flags
	output       output
	settingsPath string
	serverFlag   string
	quiet        bool

	connected *client
}

// note prints a remark to stderr unless --quiet is set.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintf(a.stderr, format+"\n", args...)
	}
}

// warn prints warnings to stderr.
func (a *app) warn(warnings []string) {
	for _, warning := range warnings {
		fmt.Fprintf(a.stderr, "warning: %s\n", warning)
	}
}

// progress prints a line that the next one replaces, on a terminal only. An empty line
// clears it.
func (a *app) progress(format string, args ...any) {
	if !a.quiet && isTerminal(a.stderr) {
		fmt.Fprintf(a.stderr, "\r\x1b[K"+format, args...)
	}
}

// confirm asks a question, unless --yes was given. done is the participle for what the command
// does, such as deleted: the error for any answer but yes says that nothing was.
func (a *app) confirm(yes bool, question, done string) error {
	if yes {
		return nil
	}
	fmt.Fprintf(a.stderr, "%s [y/N] ", question)
	var answer string
	if a.stdin != nil {
		answer, _ = bufio.NewReader(a.stdin).ReadString('\n')
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer == "y" || answer == "yes" {
		return nil
	}
	return fmt.Errorf("nothing was %s: answer y, or give --yes", done)
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// completeID completes a command's only argument with the ids that list returns.
func (a *app) completeID(list func(context.Context, *app) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ids, err := list(cmd.Context(), a)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

func subscriptionIDs(ctx context.Context, a *app) ([]string, error) {
	return listIDs(ctx, a, "/subscriptions", func(s subscription.Subscription) string { return s.ID })
}

func tierIDs(ctx context.Context, a *app) ([]string, error) {
	return listIDs(ctx, a, "/tiers", func(t subscription.Tier) string { return t.ID })
}

func groupIDs(ctx context.Context, a *app) ([]string, error) {
	return listIDs(ctx, a, "/groups", func(g subscription.Group) string { return g.ID })
}

func listIDs[T any](ctx context.Context, a *app, path string, id func(T) string) ([]string, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	items, err := readPages[T](ctx, a, c, path, nil)
	ids := make([]string, len(items))
	for i, item := range items {
		ids[i] = id(item)
	}
	return slices.Compact(ids), err
}
