package manage

import (
	"context"
	"time"
)

// Check looks into one thing that the gateway needs.
type Check struct {
	Name string
	// Run says how it is, in a few words, or what is wrong and what to do.
	Run func(ctx context.Context) (note string, err error)
}

// Finding is what a Check found.
type Finding struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Note  string `json:"note"`
	Taken int64  `json:"milliseconds"`
}

// checkTime bounds each check.
const checkTime = 15 * time.Second

// Examine runs checks one after the other.
func Examine(ctx context.Context, checks []Check) []Finding {
	all := make([]Finding, 0, len(checks))
	for _, check := range checks {
		all = append(all, examine(ctx, check))
	}
	return all
}

func examine(ctx context.Context, check Check) Finding {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	started := time.Now()
	note, err := check.Run(ctx)
	f := Finding{Name: check.Name, OK: err == nil, Note: note, Taken: time.Since(started).Milliseconds()}
	if err != nil {
		f.Note = err.Error()
	}
	return f
}

// check answers with how it is with what the gateway needs.
func (c *call) check() (*result, error) {
	if err := c.query().err(); err != nil {
		return nil, err
	}
	return &result{body: page[Finding]{Items: Examine(c.Context(), c.api.Checks)}}, nil
}
