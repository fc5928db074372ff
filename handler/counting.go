package main

import (
	"log/slog"

	"tollgate/handler/tokens"
)

// prepareCounting loads what counting for the models needs, in the background:
// it is there for most first calls, and delays none by itself. A model whose
// encoding isn't known is named in a warning.
func prepareCounting(models []string, log *slog.Logger) {
	for _, model := range models {
		encoding := tokens.ForModel(model)
		if !encoding.Known() {
			log.Warn("no encoding is known for this model: its prompts are estimated with DeepSeek's, until usage corrects them",
				"model", model, "fix", "if it is a deployment of a known model, call it by the model's name and let the endpoint's models map that to the deployment")
		}
		go encoding.Load()
	}
}
