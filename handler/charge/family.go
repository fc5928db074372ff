package charge

import (
	"strings"

	"tollgate/handler/operation"
	"tollgate/handler/tokens"
)

// Family describes the model that answers a call.
type Family struct {
	// Name is the model's name, from the endpoint or its settings.
	Name string
	// Encoding counts the model's tokens, or estimates them.
	Encoding *tokens.Encoding
	// Template reports whether the model reads plain chats exactly as Encoding
	// renders them, so that their counts are exact.
	Template bool
	// Tokenizer reports whether Encoding splits text into the model's own tokens.
	Tokenizer bool
	operation.CapRules
	// Preamble is the size of the text that the template puts before every chat, in
	// tokens.
	Preamble int64
	// Image is the highest cost of an image, and ImageLow of an image in low
	// detail, in tokens; 0 if the model's maker doesn't publish it.
	Image, ImageLow int64
}

// FamilyOf returns the family of the model that answers at an endpoint. family is
// the family named in the endpoint's configuration, or empty; own is the
// endpoint's name for the model; model is the name callers use. Where own says
// nothing, model picks the estimate and the field of the cap, but no more: callers'
// names aren't evidence of which model answers.
func FamilyOf(family, own, model string) Family {
	if family != "" {
		return familyOfName(family)
	}
	if f := familyOfName(own); f.Encoding.Known() || own == model {
		return f
	}
	f := familyOfName(model)
	f.Name, f.Template, f.Tokenizer, f.Image, f.ImageLow = own, false, false, 0, 0
	return f
}

// familyOfName returns the family that a model's or family's name says.
func familyOfName(name string) Family {
	f := Family{Name: name, Encoding: tokens.ForModel(name)}
	plain := strings.ToLower(name[strings.LastIndexByte(name, '/')+1:])
	f.Template = f.Encoding.Exact()
	f.Tokenizer = f.Template || strings.HasPrefix(plain, "deepseek-v3") || f.Encoding.OpenAI()
	f.NewerCap = isOneOf(plain, newerCapModels)
	f.EitherCap = f.Encoding.OpenAI() && !f.NewerCap && !strings.HasPrefix(plain, "gpt-oss")
	f.Image, f.ImageLow = imageCost(plain)
	if strings.HasPrefix(plain, "gpt-oss") {
		f.Preamble = harmonyPreamble
	}
	return f
}

// harmonyPreamble bounds the system message that gpt-oss reads before every chat
// (its identity, the date, its channels), in tokens.
// Source: https://cookbook.openai.com/articles/openai-harmony
const harmonyPreamble = 128

// newerCapModels lists the names, or their beginnings, of OpenAI's models that refuse
// max_tokens and take max_completion_tokens. Foundry's model router may pass a call to one of them.
// Source: https://learn.microsoft.com/azure/ai-foundry/openai/how-to/reasoning
var newerCapModels = []string{"o1", "o3", "o4", "gpt-5", "codex-mini", "model-router"}

// isOneOf reports whether a name is one of families, or goes on from one with a dash
// or a dot.
func isOneOf(name string, families []string) bool {
	for _, family := range families {
		if rest, ok := strings.CutPrefix(name, family); ok && (rest == "" || rest[0] == '-' || rest[0] == '.') {
			return true
		}
	}
	return false
}

// imageCosts maps OpenAI's models to the cost of an image, in tokens: the highest,
// and in low detail. Some models cut an image into at most 4 by 2 tiles and charge
// each tile and a base price. The others cut it into at most 1,536 patches and
// charge each patch, whatever the detail.
// Source: https://platform.openai.com/docs/guides/images-vision#calculating-costs
var imageCosts = map[string][2]int64{
	"gpt-4o": {85 + 8*170, 85}, "chatgpt-4o-latest": {85 + 8*170, 85}, "gpt-4.1": {85 + 8*170, 85}, "gpt-4.5-preview": {85 + 8*170, 85}, "gpt-4-turbo": {85 + 8*170, 85},
	"gpt-4o-mini": {2833 + 8*5667, 2833},
	"gpt-5":       {70 + 8*140, 70}, "gpt-5-chat": {70 + 8*140, 70}, "gpt-5.1": {70 + 8*140, 70},
	"o1": {75 + 8*150, 75}, "o1-pro": {75 + 8*150, 75}, "o3": {75 + 8*150, 75}, "o3-pro": {75 + 8*150, 75},
	"gpt-4.1-mini": patches(162), "gpt-5-mini": patches(162), "gpt-4.1-nano": patches(246), "gpt-5-nano": patches(246), "o4-mini": patches(172),
}

// patches returns the cost of an image of the most patches, given the price of one
// in hundredths of a token.
func patches(hundredths int64) [2]int64 {
	most := (1536*hundredths + 99) / 100
	return [2]int64{most, most}
}

// imageCost returns the cost of an image for a model, whose name may end in a date.
func imageCost(name string) (most, low int64) {
	if at := strings.Index(name, "-20"); at > 0 {
		name = name[:at]
	}
	cost := imageCosts[name]
	return cost[0], cost[1]
}
