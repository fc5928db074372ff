package app

import (
	"log/slog"

	"tollgate/handler/charge"
	"tollgate/handler/upstream"
)

// loadTokenizers loads what counting for the models needs, in the background:
// it is there for most first calls, and delays none by itself. A warning names a
// model whose family nothing tells.
func loadTokenizers(models []string, client *upstream.Client, log *slog.Logger) {
	for _, model := range models {
		targets, _ := client.Targets(upstream.Call{Model: model}) // a model that none serves is refused
		for _, t := range targets {
			family := charge.FamilyOf(t.Answers.Family, t.Answers.Name, model)
			if !family.Encoding.Known() {
				log.Warn("no encoding is known for this model: its prompts are estimated with DeepSeek's, until usage corrects them, and bounded by their bytes",
					"model", model, "endpoint", t.Endpoint, "answers", family.Name, "fix", "if it is a deployment of a known model, name that as the family of the endpoint or of its model")
			}
			go family.Encoding.Load()
		}
	}
}
