package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tollgate/handler/manage"
)

// minPause is the shortest interval. Each reading reads all counters, which takes a while.
const minPause = time.Second

func (a *app) watchCommand() *cobra.Command {
	var pause time.Duration
	var count int
	cmd := &cobra.Command{
		Use:   "watch [SUBSCRIPTION]",
		Short: "Watch tokens being spent, until Ctrl-C",
		Long: `Show the state of counters repeatedly: of one subscription, or of all, those that
have used most of their minute first. On a terminal each reading replaces the one
before; otherwise, and with --output json (one line each), they are appended.`,
		Example: "  tollgate watch\n  tollgate watch team-a --interval 5s\n  tollgate watch --count 1",
		Args:    atMostOne("SUBSCRIPTION"), ValidArgsFunction: a.completeID(subscriptionIDs),
	}
	cmd.Flags().DurationVar(&pause, "interval", 2*time.Second, "the time between readings, at least 1s")
	cmd.Flags().IntVar(&count, "count", 0, "the number of readings (default: until Ctrl-C)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if pause < minPause {
			return &usageError{cmd.CommandPath(), fmt.Sprintf("--interval is %s: use %s or more", pause, minPause)}
		}
		if count < 0 {
			return &usageError{cmd.CommandPath(), fmt.Sprintf("--count is %d: use 1 or more, or remove it", count)}
		}
		query := url.Values{}
		if len(args) > 0 {
			query.Set("subscription", args[0])
		}
		return a.watch(cmd.Context(), query, pause, count)
	}
	return cmd
}

func (a *app) watch(ctx context.Context, query url.Values, pause time.Duration, count int) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	empty := "Nothing has been counted yet."
	next := time.NewTicker(pause)
	defer next.Stop()
	for reading := 1; ; reading++ {
		standings, err := readPages[manage.Standing](ctx, a, c, "/usage", query)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if reading == 1 && len(standings) == 0 {
			if empty, err = explainEmpty(ctx, c, query, empty); err != nil {
				return err
			}
		}
		if err := a.show(standings, empty); err != nil {
			return err
		}
		if reading == count {
			return nil
		}
		select {
		case <-next.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// show prints one reading, or the text empty if there are no counters.
func (a *app) show(standings []manage.Standing, empty string) error {
	slices.SortStableFunc(standings, func(x, y manage.Standing) int { return fullness(y) - fullness(x) })
	if a.output == asJSON {
		return a.printLine(struct {
			At    time.Time         `json:"at"`
			Items []manage.Standing `json:"items"`
		}{time.Now().UTC(), notNil(standings)})
	}
	var text bytes.Buffer // written at once, so that it doesn't flicker
	if isTerminal(a.stdout) {
		text.WriteString("\x1b[H\x1b[2J")
	}
	fmt.Fprintf(&text, "%s\n\n", time.Now().UTC().Format("2006-01-02 15:04:05 UTC"))
	table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	printWatched(table, standings, empty)
	_ = table.Flush() // can't fail: it writes to memory
	_, err := a.stdout.Write(append(text.Bytes(), '\n'))
	return err
}

func printWatched(w io.Writer, standings []manage.Standing, empty string) {
	if len(standings) == 0 {
		fmt.Fprintln(w, empty)
		return
	}
	row(w, "COUNTER", "TAKEN", "THIS MINUTE", "HELD", "QUOTA", "HELD", "QUOTA LEFT")
	for _, s := range standings {
		if s.Problem != "" {
			row(w, s.Counter, s.Problem)
			continue
		}
		minute, minuteHeld, _ := window(s.Minute)
		quota, quotaHeld, left := window(s.Quota)
		row(w, s.Counter, bar(s.Minute), minute, minuteHeld, quota, quotaHeld, left)
	}
}

// fullness returns the share of its minute that a counter has used, in percent.
func fullness(s manage.Standing) int {
	if s.Minute == nil || s.Minute.Limit.N <= 0 {
		return 0
	}
	return int(min(100, max(0, 100*(s.Minute.Limit.N-s.Minute.Left.N)/s.Minute.Limit.N)))
}

// barLength is the length of a bar, in characters.
const barLength = 20

func bar(minute *manage.Window) string {
	full := fullness(manage.Standing{Minute: minute}) * barLength / 100
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", barLength-full) + "]"
}
