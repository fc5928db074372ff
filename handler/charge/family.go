package charge

import (
	"strings"

	"tollgate/handler/tokens"
)

// Family is what is known of the model that answers a call.
type Family struct {
	// Name is the model's, as an endpoint or a setting has it.
	Name string
	// Encoding counts for it, or makes an estimate.
	Encoding *tokens.Encoding
	// Template is whether the model reads plain chats as the encoding renders
	// them, so that counts of these are the model's own.
	Template bool
	// Tokenizer is whether the encoding's tokens are the model's.
	Tokenizer bool
	// NewerCap is whether the model takes max_completion_tokens and refuses
	// max_tokens; EitherCap, whether it takes either, but not both. Others are
	// sure to obey max_tokens alone.
	NewerCap, EitherCap bool
	// Preamble is what its template puts before any chat, in tokens.
	Preamble int64
	// Image is the most that an image costs, ImageLow one in low detail, in
	// tokens; 0: the model's maker states none.
	Image, ImageLow int64
}

// FamilyOf is the family of the model that an endpoint answers with: family is
// what its configuration says, empty if nothing; own is the endpoint's name for
// the model; model is the name that callers use, which tells the estimate and
// the cap's field where the endpoint's name doesn't, but isn't trusted with more.
func FamilyOf(family, own, model string) Family {
	if family != "" {
		return named(family)
	}
	if f := named(own); f.Encoding.Known() || own == model {
		return f
	}
	f := named(model)
	f.Name, f.Template, f.Tokenizer, f.Image, f.ImageLow = own, false, false, 0, 0
	return f
}

func named(name string) Family {
	f := Family{Name: name, Encoding: tokens.ForModel(name)}
	plain := strings.ToLower(name[strings.LastIndexByte(name, '/')+1:])
	f.Template = f.Encoding.Exact()
	f.Tokenizer = f.Template || strings.HasPrefix(plain, "deepseek-v3") || f.Encoding.OpenAI()
	f.NewerCap = beginsWith(plain, reasoning)
	f.EitherCap = f.Encoding.OpenAI() && !f.NewerCap && !strings.HasPrefix(plain, "gpt-oss")
	f.Image, f.ImageLow = imageCost(plain)
	if strings.HasPrefix(plain, "gpt-oss") {
		f.Preamble = harmonyPreamble
	}
	return f
}

// harmonyPreamble bounds what gpt-oss is told of itself, the date and its
// channels before any chat.
// Source: https://cookbook.openai.com/articles/openai-harmony
const harmonyPreamble = 128

// reasoning are OpenAI's models that refuse max_tokens, by what their names
// begin with. The router of Foundry's may hand a call to one of them.
// Source: https://learn.microsoft.com/azure/ai-foundry/openai/how-to/reasoning
var reasoning = []string{"o1", "o3", "o4", "gpt-5", "codex-mini", "model-router"}

// beginsWith is whether a name is one of a family's: its own, or with more
// after a dash or a point.
func beginsWith(name string, families []string) bool {
	for _, family := range families {
		if rest, ok := strings.CutPrefix(name, family); ok && (rest == "" || rest[0] == '-' || rest[0] == '.') {
			return true
		}
	}
	return false
}

// imageCosts are what an image costs with OpenAI's models, in tokens: at most,
// and in low detail. Where an image is cut into tiles, it is scaled to at most 4
// by 2 of them, each at a price, with a price for the whole. Where it is cut into
// patches, there are at most 1,536 of them, at a price each, in any detail.
// Source: https://platform.openai.com/docs/guides/images-vision#calculating-costs
var imageCosts = map[string][2]int64{
	"gpt-4o": {85 + 8*170, 85}, "chatgpt-4o-latest": {85 + 8*170, 85}, "gpt-4.1": {85 + 8*170, 85}, "gpt-4.5-preview": {85 + 8*170, 85}, "gpt-4-turbo": {85 + 8*170, 85},
	"gpt-4o-mini": {2833 + 8*5667, 2833},
	"gpt-5":       {70 + 8*140, 70}, "gpt-5-chat": {70 + 8*140, 70}, "gpt-5.1": {70 + 8*140, 70},
	"o1": {75 + 8*150, 75}, "o1-pro": {75 + 8*150, 75}, "o3": {75 + 8*150, 75}, "o3-pro": {75 + 8*150, 75},
	"gpt-4.1-mini": patches(162), "gpt-5-mini": patches(162), "gpt-4.1-nano": patches(246), "gpt-5-nano": patches(246), "o4-mini": patches(172),
}

// patches is the cost of the most patches that an image has, each at so many
// hundredths of a token.
func patches(hundredths int64) [2]int64 {
	most := (1536*hundredths + 99) / 100
	return [2]int64{most, most}
}

// imageCost is the cost of an image with a model, whose name may end in a date.
func imageCost(name string) (most, low int64) {
	if at := strings.Index(name, "-20"); at > 0 {
		name = name[:at]
	}
	cost := imageCosts[name]
	return cost[0], cost[1]
}
