package app

import (
	"bytes"
	"sync"
)

// env reads settings from a map, as os.Getenv does from the environment.
func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

// fine holds valid settings.
var fine = map[string]string{"KEY_PEPPER": "canary-pepper-0123456789", "UPSTREAM_URL": "https://x.services.ai.azure.com",
	"UPSTREAM_API_KEY": "canary-upstream", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}

// A syncBuffer is a buffer that several goroutines may use at once.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *syncBuffer) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *syncBuffer) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}
