package fakemodel

// servedTiers are the service tiers that serve calls, by the service_tier that calls ask
// for. A call that asks for none gets an answer that names none.
// Source: https://platform.openai.com/docs/api-reference/chat/create#chat_create-service_tier
var servedTiers = map[string]string{"auto": "default", "default": "default", "flex": "flex", "priority": "priority"}

// serviceTier reads a call's service_tier, nil if it has none, and returns the tier that
// serves it. It reports false if it has answered the call with an error.
func (c *call) serviceTier(asked *string) (served string, ok bool) {
	if asked == nil {
		return "", true
	}
	if served, ok = servedTiers[*asked]; !ok {
		c.failField("service_tier", "invalid_value", "Invalid value: supported values are: 'auto', 'default', 'flex', and 'priority'.")
	}
	return served, ok
}
