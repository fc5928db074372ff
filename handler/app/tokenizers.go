package app

import (
	"log/slog"
	"time"

	"tollgate/handler/charge"
	"tollgate/handler/tokens"
	"tollgate/handler/upstream"
)

// loadAfter delays the loading of vocabularies after the start. An instance is
// started for calls that are waiting: loading, which takes up to 30 ms of both cores, would
// delay them, and most are admitted without a count.
const loadAfter = 200 * time.Millisecond

// loadTokenizers loads the models' vocabularies in the background, one after the other,
// so that few calls wait for them. It logs a warning for each model whose encoding is
// unknown.
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
	time.AfterFunc(loadAfter, func() {
		for _, e := range encodings {
			e.Load()
		}
	})
}
