package app

import (
	"log/slog"

	"tollgate/handler/charge"
	"tollgate/handler/tokens"
	"tollgate/handler/upstream"
)

// loadTokenizers loads the models' vocabularies in the background, so that few calls
// wait for them: one after the other, to leave a core to the first calls. It logs a
// warning for each model whose encoding is unknown.
func loadTokenizers(models []string, client *upstream.Client, log *slog.Logger) {
	var encodings []*tokens.Encoding
	for _, model := range models {
		targets, _ := client.Targets(upstream.Selection{Model: model}) // calls for a model that no endpoint serves are refused
		for _, t := range targets {
			family := charge.FamilyOf(t.Answers.Family, t.Answers.Name, model)
			if !family.Encoding.Known() {
				log.Warn("the model's encoding is unknown: prompts are estimated with DeepSeek's encoding until usage corrects the estimate, and bounded by their bytes",
					"model", model, "endpoint", t.Endpoint, "answers", family.Name, "fix", "if it is a deployment of a known model, set UPSTREAM_FAMILY, or family in UPSTREAMS, to that model's name")
			}
			encodings = append(encodings, family.Encoding)
		}
	}
	go func() {
		for _, e := range encodings {
			e.Load()
		}
	}()
}
