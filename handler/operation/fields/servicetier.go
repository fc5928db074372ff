package fields

import (
	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
)

// ServiceTier reads the value of service_tier, as Envelope.ServiceTier has it. With auto,
// null and no field at all, the endpoint's account decides, whose rates are the normal ones.
// Source: https://platform.openai.com/docs/api-reference/chat/create#chat_create-service_tier
func ServiceTier(s *jsonscan.Scanner) (string, error) {
	if s.Literal("null") {
		return "", nil
	}
	if s.Peek() != '"' {
		return "", operation.Wrong("service_tier", "must be a string", `leave it out, or send "default"`)
	}
	tier, _, err := String(s, "service_tier")
	switch tier {
	case "auto", "default", "flex":
		return "", err
	case operation.ServiceTierPriority:
		return operation.ServiceTierPriority, err
	}
	return operation.ServiceTierOther, err
}
