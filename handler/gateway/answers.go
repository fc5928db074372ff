package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"tollgate/handler/limit"
)

// list answers with the models that the subscription may use, in OpenAI's form.
func (g *Gateway) list(c *call) error {
	type model struct {
		ID     string `json:"id"`
		Object string `json:"object"`
	}
	listed := struct {
		Object string  `json:"object"`
		Data   []model `json:"data"`
	}{Object: "list", Data: []model{}}
	for _, name := range g.served(c.grant.Tier) {
		listed.Data = append(listed.Data, model{name, "model"})
	}
	return c.answerJSON(listed)
}

// window is where one limit stands, in tokens.
type window struct {
	Limit   int64     `json:"limit"`
	Used    int64     `json:"used"`
	Left    int64     `json:"left"`
	ResetAt time.Time `json:"resetAt"`
}

// standing answers with where the subscription's own limits stand.
func (g *Gateway) standing(c *call) error {
	model := c.r.URL.Query().Get("model")
	if served := g.served(c.grant.Tier); model == "" && len(served) > 0 {
		model = served[0]
	}
	s, err := g.Counter.Standing(c.r.Context(), g.counterKey(c, model), terms(c.grant.Tier))
	if err != nil {
		return unavailable("counters", counterRetry, err)
	}
	g.Headers.standing(c.w.Header(), s, time.Now())
	return c.answerJSON(usageOf(c, s))
}

func usageOf(c *call, s limit.Standing) any {
	var answer struct {
		Subscription string       `json:"subscription"`
		Tier         string       `json:"tier"`
		Minute       *window      `json:"minute,omitempty"`
		Quota        *window      `json:"quota,omitempty"`
		QuotaPeriod  limit.Period `json:"quotaPeriod,omitempty"`
	}
	answer.Subscription, answer.Tier = c.grant.Subscription.ID, c.grant.Tier.ID
	if s.TokensPerMinute > 0 {
		answer.Minute = &window{s.TokensPerMinute, s.Used, s.Remaining, s.ResetAt}
	}
	if s.Quota > 0 {
		answer.Quota, answer.QuotaPeriod = &window{s.Quota, s.QuotaUsed, s.QuotaRemaining, s.QuotaResetAt}, s.Period
	}
	return answer
}

func (c *call) answerJSON(value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	c.answer(http.StatusOK, "application/json", body)
	return nil
}
