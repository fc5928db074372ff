// Package config reads and checks the gateway's settings. It returns values and
// faults; it builds nothing and makes no calls. Start reading at Config; each group
// of settings has a file.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"tollgate/handler/azure"
	"tollgate/handler/gateway"
	"tollgate/handler/secret"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
	"tollgate/handler/upstream"
)

// A Config holds every setting, read from the environment once, at the start. In
// Azure Functions they are the app's settings, locally the Values of
// local.settings.json. Each field's comment names its setting and default.
type Config struct {
	// Port is the port at 127.0.0.1 to listen on. The Functions host sets it in
	// FUNCTIONS_CUSTOMHANDLER_PORT or, by its older name, FUNCTIONS_HTTPWORKER_PORT.
	// Without a host: PORT, default 7071, as func's.
	Port int
	// UnderHost reports whether the Functions host started this process.
	UnderHost bool

	// Store selects where keys and counters are kept. STORE: tables (default), or
	// memory to try things out: one process, nothing persists.
	Store string
	// Storage is the account of STORE=tables: AzureWebJobsStorage and its variants.
	Storage azure.Settings
	// MemoryDirectory holds the tiers, subscriptions and keys of STORE=memory.
	// MEMORY_DIRECTORY: JSON.
	MemoryDirectory secret.Text
	// Pepper is the secret that keys are hashed with. KEY_PEPPER: at least 16 bytes.
	Pepper subscription.Pepper

	// Upstreams holds the endpoints. Either one, set by UPSTREAM_URL, UPSTREAM_SHAPE
	// (openai by default, models or deployments), UPSTREAM_DEPLOYMENT (the model's
	// name at the endpoint, by default the caller's), UPSTREAM_API_VERSION (by default
	// the shape's) and UPSTREAM_API_KEY (if missing, calls are made as Identity); or
	// several, from the JSON of UPSTREAMS. Their Token is not set yet.
	Upstreams []upstream.Endpoint
	// Timeouts bound calls to endpoints and writes to callers.
	// UPSTREAM_HEADER_TIMEOUT 220s, UPSTREAM_TIMEOUT 225s, STREAM_IDLE_TIMEOUT
	// 120s, KEEP_ALIVE_INTERVAL 15s, WRITE_TIMEOUT 30s.
	Timeouts upstream.Timeouts
	// ClientID selects a user-assigned identity. AZURE_CLIENT_ID.
	ClientID string

	// BasePath is an optional prefix of every route. BASE_PATH: begins with a slash,
	// default /inference.
	BasePath string
	// Models lists the models that calls may name. A call that names none gets the
	// model if there is only one. MODELS: separated by commas, by default the models
	// of UPSTREAMS, else DeepSeek-R1.
	Models []string
	// SettleTimeout limits the time that the gateway goes on reading an endpoint's
	// answer, for its usage, after the caller left or a timeout. SETTLE_TIMEOUT: default 20s; 0 cancels at once.
	SettleTimeout time.Duration
	// TokensPerSecond is an upper bound for the tokens a second that a model writes of
	// one completion, by model; the empty name is every other model.
	// TOKENS_PER_SECOND: a number and MODEL=NUMBER pairs, separated by commas; default
	// 100.
	TokensPerSecond map[string]int64
	// MaxBody is the size limit of request bodies, in bytes. MAX_BODY_BYTES: default
	// 4194304.
	MaxBody int64
	// Origins lists the origins whose pages may call the gateway from a browser.
	// CORS_ORIGINS: separated by commas, such as http://localhost:5173, or *; default
	// none.
	Origins []string
	// TokensComment adds comments to streams just before [DONE], with the tokens used
	// and remaining. STREAM_TOKENS_COMMENT: true or false (default).
	TokensComment bool
	// Headers holds the names of the answers' headers. REMAINING_TOKENS_HEADER,
	// TOKENS_CONSUMED_HEADER, REMAINING_QUOTA_TOKENS_HEADER, RETRY_AFTER_HEADER: by
	// default the names of APIM's samples.
	Headers gateway.HeaderNames

	// Counting holds how clients' addresses are found and how long usage is kept.
	Counting Counting
	// Telemetry configures Application Insights.
	Telemetry Telemetry

	// Manage configures the operators' API and the console.
	Manage Manage

	// HeaderTimeout and BodyTimeout bound the time a caller may take to send its
	// request. HEADER_TIMEOUT: default 5s. BODY_TIMEOUT: default 30s.
	HeaderTimeout, BodyTimeout time.Duration
	// DrainTimeout bounds the time that calls in flight get when the process stops.
	// DRAIN_TIMEOUT: default 30s.
	DrainTimeout time.Duration
}

// Load reads the settings. Its error lists every fault.
func Load(getenv func(string) string) (Config, error) {
	s := &settings{getenv: getenv}
	c := Config{
		Store:           s.oneOf("STORE", "tables", "memory"),
		Storage:         azure.Read(getenv),
		MemoryDirectory: secret.New(s.text("MEMORY_DIRECTORY", "")),
		Pepper:          s.pepper("KEY_PEPPER"),
		Timeouts: upstream.Timeouts{
			Header:    s.duration("UPSTREAM_HEADER_TIMEOUT", upstream.DefaultTimeouts.Header),
			Whole:     s.duration("UPSTREAM_TIMEOUT", upstream.DefaultTimeouts.Whole),
			Idle:      s.duration("STREAM_IDLE_TIMEOUT", upstream.DefaultTimeouts.Idle),
			KeepAlive: s.duration("KEEP_ALIVE_INTERVAL", upstream.DefaultTimeouts.KeepAlive),
			Write:     s.duration("WRITE_TIMEOUT", upstream.DefaultTimeouts.Write),
		},
		ClientID:        s.text("AZURE_CLIENT_ID", ""),
		BasePath:        s.basePath("BASE_PATH", "/inference"),
		MaxBody:         s.number("MAX_BODY_BYTES", 4<<20, 1<<10, 64<<20),
		Origins:         s.origins("CORS_ORIGINS"),
		SettleTimeout:   s.durationOrNone("SETTLE_TIMEOUT", 20*time.Second),
		TokensPerSecond: s.tokensPerSecond("TOKENS_PER_SECOND"),
		TokensComment:   s.oneOf("STREAM_TOKENS_COMMENT", "false", "true") == "true",
		Headers:         s.headerNames(),
		Counting:        s.counting(),
		Telemetry:       s.telemetry(),
		HeaderTimeout:   s.duration("HEADER_TIMEOUT", 5*time.Second),
		BodyTimeout:     s.duration("BODY_TIMEOUT", 30*time.Second),
		DrainTimeout:    s.duration("DRAIN_TIMEOUT", 30*time.Second),
	}
	c.Port, c.UnderHost = s.port()
	c.Counting.Addresses.Host = c.UnderHost
	c.Manage = s.manage()
	c.Upstreams = s.upstreams(c.ClientID)
	c.Models = s.models(c.Upstreams)
	s.checkStore(c)
	s.checkAzure()
	return c, s.err()
}

// pepper reads the secret that keys are hashed with.
func (s *settings) pepper(name string) subscription.Pepper {
	pepper, err := subscription.NewPepper(strings.TrimSpace(s.getenv(name)))
	if err != nil {
		s.faults = append(s.faults, fmt.Errorf("%s %w", name, err))
	}
	return pepper
}

// checkStore opens the stores as app will, to report their faults with all others.
// It makes no network call.
func (s *settings) checkStore(c Config) {
	switch {
	case c.Store != "memory":
		if _, err := azure.Open(c.Storage); err != nil {
			s.faults = append(s.faults, err)
		}
	case c.MemoryDirectory.Empty():
		s.fault("MEMORY_DIRECTORY", "is missing", "with STORE=memory set it to JSON of tiers, subscriptions and keys")
	case c.Pepper != subscription.Pepper{}:
		if _, err := memstore.Load([]byte(c.MemoryDirectory.Reveal()), c.Pepper); err != nil {
			s.faults = append(s.faults, errors.New("MEMORY_DIRECTORY "+strings.ReplaceAll(err.Error(), "\n", "\nMEMORY_DIRECTORY ")))
		}
	}
}

// port returns the port to listen on, and whether the Functions host chose it.
func (s *settings) port() (port int, underHost bool) {
	for _, name := range []string{"FUNCTIONS_CUSTOMHANDLER_PORT", "FUNCTIONS_HTTPWORKER_PORT"} {
		if s.text(name, "") != "" {
			return int(s.number(name, 0, 1, 65535)), true
		}
	}
	return int(s.number("PORT", 7071, 1, 65535)), false
}

// basePath reads a path that begins with a slash; it drops slashes at the end.
func (s *settings) basePath(name, fallback string) string {
	value := strings.TrimRight(s.text(name, fallback), "/")
	if value != "" && !strings.HasPrefix(value, "/") {
		s.fault(name, fmt.Sprintf("is %q", value), "begin it with a slash")
	}
	if strings.ContainsAny(value, "?#%") {
		s.fault(name, fmt.Sprintf("is %q", value), "use only a path, without a query, a fragment or percent escapes")
	}
	return value
}

// LogValue implements slog.LogValuer. The start's log line shows these settings, none
// of them a secret.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("store", c.Store), slog.Any("upstreams", addresses(c.Upstreams)),
		slog.Any("models", c.Models), slog.String("base_path", c.BasePath), slog.Bool("under_host", c.UnderHost))
}

// addresses returns the endpoints' shapes and URLs, for the log.
func addresses(endpoints []upstream.Endpoint) []string {
	all := make([]string, len(endpoints))
	for i, e := range endpoints {
		all[i] = string(e.Shape) + " " + e.URL
	}
	return all
}
