// Command tollgate is the operators' command line: tiers, subscriptions and
// keys in the gateway's tables.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"tollgate/handler/subscription"
	"tollgate/handler/subscription/tablestore"
)

// Exit statuses, as the root command's help explains them.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitNotFound = 3
	exitConflict = 4
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := &app{getenv: os.Getenv, stdout: os.Stdout, stderr: os.Stderr, tables: tablestore.Usual}
	status := a.execute(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// execute runs the command that args name and returns its exit status.
func (a *app) execute(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(a.stderr, "tollgate: %s%s\n", strings.ReplaceAll(err.Error(), "\n", "\n  "), hint(err))
	return status(err)
}

func status(err error) int {
	_, usage := errors.AsType[*usageError](err)
	_, field := errors.AsType[*subscription.FieldError](err)
	switch {
	case usage, field:
		return exitUsage
	case errors.Is(err, subscription.ErrNotFound):
		return exitNotFound
	case errors.Is(err, subscription.ErrExists), errors.Is(err, subscription.ErrConflict):
		return exitConflict
	}
	return exitFailed
}

// hint says what to do where the error alone doesn't.
func hint(err error) string {
	if wrong, ok := errors.AsType[*usageError](err); ok {
		return "\nSee '" + wrong.command + " --help'."
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return "\nIs the storage that AzureWebJobsStorage names running, and reachable from here?"
	}
	return ""
}

// usageError is a command line that can't be understood.
type usageError struct {
	command string // what to ask for help
	problem string
}

func (e *usageError) Error() string { return e.problem }
