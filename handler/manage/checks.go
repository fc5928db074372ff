package manage

import (
	"context"
	"time"
)

// A Check tests one thing that the gateway needs.
type Check struct {
	// Name is a word, such as tables.
	Name string
	// Run returns a short note, or an error that says what is wrong and how to fix it.
	Run func(ctx context.Context) (note string, err error)
}

// A Finding is the result of a Check. Note is the check's note or the text of its error.
type Finding struct {
	Name         string `json:"name"`
	OK           bool   `json:"ok"`
	Note         string `json:"note"`
	Milliseconds int64  `json:"milliseconds"`
}

// checkTimeout bounds each check.
const checkTimeout = 15 * time.Second

// RunChecks runs checks one after the other.
func RunChecks(ctx context.Context, checks []Check) []Finding {
	all := make([]Finding, 0, len(checks))
	for _, check := range checks {
		all = append(all, runCheck(ctx, check))
	}
	return all
}

func runCheck(ctx context.Context, check Check) Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	started := time.Now()
	note, err := check.Run(ctx)
	f := Finding{Name: check.Name, OK: err == nil, Note: note, Milliseconds: time.Since(started).Milliseconds()}
	if err != nil {
		f.Note = err.Error()
	}
	return f
}

// readChecks runs the checks and answers with their findings.
func (c *call) readChecks() (*result, error) {
	if err := c.query().err(); err != nil {
		return nil, err
	}
	return &result{body: page[Finding]{Items: RunChecks(c.Context(), c.api.config.Checks)}}, nil
}
