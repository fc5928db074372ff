package fields

import (
	"fmt"
	"slices"

	"tollgate/handler/jsonscan"
	"tollgate/handler/operation"
)

// AppendDearer reads the value of a field that may ask for dearer tokens, and appends the
// field to those before it unless the value is null or one of normal, whose tokens never
// cost more than the normal rates.
func AppendDearer(before []operation.DearerField, s *jsonscan.Scanner, name string, normal ...string) ([]operation.DearerField, error) {
	if s.Literal("null") {
		return before, nil
	}
	if s.Peek() != '"' {
		return nil, operation.Wrong(name, "must be a string", fmt.Sprintf("leave it out, or send %q", normal[0]))
	}
	value, _, err := String(s, name)
	if err != nil || slices.Contains(normal, value) {
		return before, err
	}
	return append(before, operation.DearerField{Name: name, Priority: name == serviceTier && value == "priority"}), nil
}

const serviceTier = "service_tier"

// AppendServiceTier is AppendDearer of OpenAI's service_tier. With auto, null and no field
// at all, the endpoint's account decides, whose rates are the normal ones.
// Source: https://platform.openai.com/docs/api-reference/chat/create#chat_create-service_tier
func AppendServiceTier(before []operation.DearerField, s *jsonscan.Scanner) ([]operation.DearerField, error) {
	return AppendDearer(before, s, serviceTier, "default", "auto", "flex")
}
