package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"tollgate/handler/alert"
	"tollgate/handler/limit"
	"tollgate/handler/local/azurite"
	"tollgate/handler/manage"
)

// The demo's budget a month in billionths of a dollar, and the percent of it at which the
// gateway sends an alert.
const (
	budget  = 3 * limit.Nano / 100
	alertAt = 80
)

// A spender is a model that the demo calls, with the price of one of its tokens in
// billionths of a dollar.
type spender struct {
	model              string
	prompt, completion int64
}

// spenders lists the models that the demo calls in turn. Their prices are made up.
var spenders = []spender{{"DeepSeek-R1", 12_000, 48_000}, {"gpt-5-mini", 2_000, 16_000}}

// openingCommands returns the commands that set everything up before the first call.
func openingCommands() [][]string {
	all := [][]string{{"price", "currency", "USD"}}
	for _, s := range spenders {
		all = append(all, []string{"price", "set", s.model, "--prompt", perMillion(s.prompt), "--completion", perMillion(s.completion), "--source", "made up"})
	}
	return append(all,
		[]string{"group", "create", "research", "--limit", fmt.Sprintf("budget: cost %s/month alert %d", limit.FormatMoney(budget), alertAt)},
		[]string{"tier", "set", "standard", "--create", "--limit", "tokens 100000/minute"},
		[]string{"subscription", "create", "demo", "--tier", "standard", "--group", "research"},
		[]string{"key", "create", "demo"})
}

// perMillion formats the price of a million tokens.
func perMillion(nano int64) string { return limit.FormatMoney(nano * 1_000_000) }

// startMoney starts everything, with prices and a budget.
func startMoney(ctx context.Context) (*setup, error) {
	s := newSetup()
	err := s.startMoney(ctx)
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *setup) startMoney(ctx context.Context) (err error) {
	if err := s.startEmulator(ctx); err != nil {
		if errors.Is(err, azurite.ErrNotInstalled) {
			return fmt.Errorf("the prices are in Azurite: %w", err)
		}
		return err
	}
	if s.tollgate, err = build(ctx, "tollgate", "./handler/cmd/tollgate"); err != nil {
		return err
	}
	for _, command := range openingCommands() {
		fmt.Println("$ tollgate", quoted(command))
		out, err := s.operate(ctx, command...)
		if err != nil {
			return err
		}
		s.key = strings.TrimSpace(out) // the last command makes it
	}
	fmt.Println()
	hook, err := s.startWebhook()
	if err != nil {
		return err
	}
	return s.startGateway(ctx, 0, append(tables(s.emulator.ConnectionString), hook...))
}

// spendBudget makes calls of two models under a budget until one is refused, and prints the
// report of the month. It returns an error if anything differs from docs/money.md.
func (s *setup) spendBudget(ctx context.Context) error {
	seen, err := s.spend(ctx)
	if err != nil {
		return err
	}
	fmt.Print("\nThe gateway stops, and writes what it counted.\n\n")
	s.stopGateway()
	report := []string{"report", "--month", time.Now().UTC().Format("2006-01")}
	fmt.Println("$ tollgate", quoted(report))
	shown, err := s.operate(ctx, report...)
	if err != nil {
		return err
	}
	fmt.Print(shown)
	text, err := s.operate(ctx, append(report, "--output", "json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), &seen.report); err != nil {
		return fmt.Errorf("read the report: %w", err)
	}
	return seen.check()
}

// quoted formats arguments as a shell reads them.
func quoted(args []string) string {
	all := make([]string, len(args))
	for i, arg := range args {
		if all[i] = arg; strings.Contains(arg, " ") {
			all[i] = "'" + arg + "'"
		}
	}
	return strings.Join(all, " ")
}

// operate runs the command line on the tables, and returns what it prints.
func (s *setup) operate(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, s.tollgate, append(args, "--quiet")...)
	command.Env = append(os.Environ(), append(tables(s.emulator.ConnectionString), "KEY_PEPPER="+pepper, "TOLLGATE_SERVER=")...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("tollgate %s: %w", quoted(args), err)
	}
	return string(out), nil
}

// A purchase is the result of one call.
type purchase struct {
	spender
	status int
	cost   int64  // of the usage in the answer, in billionths of a dollar; 0 if it was refused
	code   string // of the refusal
	reason string // the refusal's message
	text   string // the answer
}

// A story records the calls, the alert and the report of one demo.
type story struct {
	calls   []purchase
	alerted int // calls that had ended when the alert came; 0: there was none
	alert   alert.Alert
	report  manage.Report
}

// spent returns what the first n calls cost.
func (s *story) spent(n int) (nano int64) {
	for _, c := range s.calls[:n] {
		nano += c.cost
	}
	return nano
}

// maxCalls is more calls than the budget pays for.
const maxCalls = 40

// spend calls the models in turn until a call is refused. Once enough is spent for the
// gateway's alert, it waits for the alert.
func (s *setup) spend(ctx context.Context) (*story, error) {
	seen := &story{}
	for i := range maxCalls {
		c, err := s.purchase(ctx, spenders[i%len(spenders)])
		if err != nil {
			return nil, fmt.Errorf("call %d: %w", i+1, err)
		}
		seen.calls = append(seen.calls, c)
		spent := seen.spent(i + 1)
		if c.status != http.StatusOK {
			fmt.Printf("▶️ Run:  %d %s status code:  %d ⛔\n%s\n", i+1, c.model, c.status, c.text)
			return seen, nil
		}
		fmt.Printf("▶️ Run:  %d %s status code:  %d ✅ cost:  %s spent:  %s\n", i+1, c.model, c.status, limit.FormatMoney(c.cost), limit.FormatMoney(spent))
		if seen.alerted == 0 && spent*100 >= budget*alertAt {
			seen.alerted = i + 1
			if seen.alert, err = s.hook.next(ctx, 10*time.Second); err != nil {
				return nil, err
			}
			fmt.Printf("⚠️ The webhook got an alert: %s has reached %d%% of %s, with %s used. It resets at %s.\n",
				seen.alert.Limit, seen.alert.Percent, amount(seen.alert.Quota), amount(seen.alert.Used), seen.alert.ResetAt.Format(time.RFC3339))
		}
	}
	return seen, nil
}

// amount returns an alert's amount without quotes.
func amount(raw json.RawMessage) string { return strings.Trim(string(raw), `"`) }

// purchase makes the article's call of a model.
func (s *setup) purchase(ctx context.Context, of spender) (purchase, error) {
	response, text, err := s.post(ctx, strings.Replace(body, spenders[0].model, of.model, 1))
	if err != nil {
		return purchase{}, err
	}
	var answer struct {
		Usage struct {
			Prompt     int64 `json:"prompt_tokens"`
			Completion int64 `json:"completion_tokens"`
		}
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return purchase{}, fmt.Errorf("status %d: %w", response.StatusCode, err)
	}
	c := purchase{spender: of, status: response.StatusCode, code: answer.Error.Code, reason: answer.Error.Message, text: string(text)}
	if c.status == http.StatusOK {
		c.cost = answer.Usage.Prompt*of.prompt + answer.Usage.Completion*of.completion
	}
	return c, nil
}
