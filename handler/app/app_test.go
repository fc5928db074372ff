package app

// env reads settings from a map, as os.Getenv does from the environment.
func env(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

// validSettings lets a gateway start.
var validSettings = map[string]string{"KEY_PEPPER": "canary-pepper-0123456789", "UPSTREAM_URL": "https://x.services.ai.azure.com",
	"UPSTREAM_API_KEY": "canary-upstream", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
