package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"tollgate/handler/stored"
	"tollgate/handler/subscription"
)

// Endpoints store responses, and other content that calls may name, under the one account
// that all callers share. Tollgate remembers which subscription made each response and which
// endpoint has it. It lets no other subscription name the response and, by default, lets
// nobody name other stored content.

// storedState holds what the call has to do with stored responses.
type storedState struct {
	named    stored.Response // the response that the call names; zero: none
	recorded bool            // the maker of the call's own response was recorded, or needn't be
}

// checkStored refuses a call that names stored content which may not be the caller's, and
// finds the response that the call continues.
func (g *Gateway) checkStored(c *call) error {
	asks := c.request.Envelope().Stored
	if asks.Unowned != "" && c.grant.Tier.StoredContent != subscription.StoredAllow {
		return &problem{status: http.StatusBadRequest, code: "stored_content_refused", kind: kindRequest, param: asks.Unowned,
			message: asks.Unowned + " names content that the model's endpoint stores for all callers of this gateway, so nobody can tell who owns it. " +
				"Send the content itself, or continue one of your own responses with previous_response_id; for reasoning, include reasoning.encrypted_content and send it back. " +
				"The operator can allow it, with the tier's storedContent."}
	}
	if asks.Continues == "" {
		return nil
	}
	return g.findResponse(c, asks.Continues, asks.ContinuesField)
}

// findStored finds the response that the call's path names, and its model.
func (g *Gateway) findStored(c *call) error {
	if err := g.findResponse(c, c.route.id, ""); err != nil {
		return err
	}
	c.model = c.stored.named.Model
	return nil
}

// findResponse finds a response by its id, if the caller made it. field is the body's field
// with the id, empty if the path has it.
func (g *Gateway) findResponse(c *call, id, field string) error {
	found, err := stored.Response{}, stored.ErrUnknown
	if g.config.Stored != nil {
		found, err = g.config.Stored.Find(c.r.Context(), c.grant.Subscription.ID, id)
	}
	switch {
	case errors.Is(err, stored.ErrUnknown):
		return unknownResponse(field)
	case err != nil && c.r.Context().Err() != nil:
		return clientClosed(err)
	case err != nil:
		return unavailable("responses", storedRetry, err)
	}
	c.stored.named = found
	return nil
}

// storedRetry is the Retry-After of a call whose response can't be looked up.
const storedRetry = 5 * time.Second

// unknownResponse answers a call that names a response which the caller didn't make, or
// which is gone. The caller can't tell the two apart.
func unknownResponse(field string) *problem {
	return &problem{status: http.StatusNotFound, code: "response_not_found", kind: kindRequest, param: field,
		message: fmt.Sprintf("This subscription has no such response. Endpoints store responses for %d days, unless they were made with store: false.", stored.Retention/(24*time.Hour))}
}

// continuedTokens returns the most tokens that the model reads of the stored response which
// the call continues, and of all before it.
func (c *call) continuedTokens() int64 {
	if c.request == nil || c.request.Envelope().Stored.Continues == "" {
		return 0
	}
	return c.stored.named.Tokens
}

// recordOwner records who made the call's response, if its endpoint keeps it under an id.
// It does so once, after the call was charged, and before the end of the response is
// passed on. If it fails, nobody can name the response.
func (g *Gateway) recordOwner(c *call, id, endpoint string) {
	if g.config.Stored == nil || c.stored.recorded || id == "" || endpoint == "" || !c.request.Envelope().Stored.Keeps {
		return
	}
	c.stored.recorded = true
	err := g.config.Stored.Record(c.r.Context(), stored.Response{ID: id, Subscription: c.grant.Subscription.ID,
		Endpoint: endpoint, Model: c.model, Created: time.Now(), Tokens: c.charge.usage.Total()})
	if err != nil {
		g.config.Log.LogAttrs(context.WithoutCancel(c.r.Context()), slog.LevelWarn, "a response can't be named later", slog.String("request_id", c.requestID), slog.String("cause", err.Error()))
	}
}

// recordOwner records who made a response that was not passed on to its end, because
// the caller left or the endpoint broke off.
func (f *follower) recordOwner() {
	c, id := f.call, ""
	switch {
	case c.request == nil || !c.request.Envelope().Stored.Keeps:
		return
	case f.meter != nil:
		id = f.meter.events.State().ID
	default:
		id = c.route.operation.Read(f.held, nil).ID
	}
	f.gateway.recordOwner(c, id, c.upstream.endpoint)
}
