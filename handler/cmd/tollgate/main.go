// Command tollgate is the operators' command line: it manages tiers, groups, subscriptions,
// keys and prices, and shows usage.
//
// Most commands make requests to the operators' API of package manage: to a deployed gateway's,
// with --server, or to one in this process that works on the gateway's tables. So they behave
// the same either way, and every change is audited.
//
// Start reading at root, which lists the commands; client.go makes the requests.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	wiring "tollgate/handler/app"
	"tollgate/handler/manage"
)

// Exit statuses, as the root command's help explains them.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitNotFound = 3
	exitConflict = 4
	exitDenied   = 5
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := &app{getenv: os.Getenv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, tables: wiring.DefaultTableNames}
	status := a.execute(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// execute runs the command that args name and returns its exit status.
func (a *app) execute(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(a.stderr, "tollgate: %s%s\n", errorText(err), hint(err))
	return status(err)
}

// status returns the exit status for an error.
func status(err error) int {
	_, usage := errors.AsType[*usageError](err)
	problem, refused := errors.AsType[*manage.Problem](err)
	switch {
	case usage:
		return exitUsage
	case !refused:
		return exitFailed
	case problem.Code == manage.CodeNotFound:
		return exitNotFound
	}
	switch problem.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitDenied
	case http.StatusConflict, http.StatusPreconditionFailed:
		return exitConflict
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return exitUsage
	}
	return exitFailed
}

// hint returns advice that the error itself lacks, or nothing.
func hint(err error) string {
	if wrong, ok := errors.AsType[*usageError](err); ok {
		return "\nSee '" + wrong.command + " --help'."
	}
	if p, ok := errors.AsType[*manage.Problem](err); ok && p.Status == http.StatusUnauthorized {
		return "\nIs MANAGE_KEY the gateway's key or, with an Entra ID login, MANAGE_AUDIENCE the gateway's?"
	}
	if p, ok := errors.AsType[*manage.Problem](err); ok && p.Code == manage.CodeUnavailable && strings.Contains(p.Detail, "can't be reached") {
		return "\nIs the storage that AzureWebJobsStorage names running, and reachable from here?"
	}
	return ""
}

// errorText returns an error's text, cleaned, since it may quote other people's text.
func errorText(err error) string {
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		lines[i] = clean(line)
	}
	return strings.Join(lines, "\n  ")
}

// A usageError is a fault in the command line.
type usageError struct {
	command string // the command whose --help explains it
	problem string
}

func (e *usageError) Error() string { return e.problem }
