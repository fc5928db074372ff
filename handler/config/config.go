// Package config reads the gateway's settings and checks them. It yields values
// and faults; it builds nothing and calls nobody.
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

// Config is everything that can be set, read from the environment once, in
// main. Under Azure Functions these are the app's settings, locally the Values
// of local.settings.json. Each field names its setting and default.
type Config struct {
	// Port to listen on at 127.0.0.1: FUNCTIONS_CUSTOMHANDLER_PORT or its older
	// name FUNCTIONS_HTTPWORKER_PORT, which the Functions host chooses; without a
	// host PORT, default 7071, func's own.
	Port int
	// UnderHost says that the Functions host started this process.
	UnderHost bool

	// Store is where keys and counters live. STORE: tables (default), or memory
	// to try things out: then one process counts for itself and forgets.
	Store string
	// Storage is the account of STORE=tables: AzureWebJobsStorage and its kin.
	Storage azure.Settings
	// MemoryDirectory is the tiers, subscriptions and keys of STORE=memory.
	// MEMORY_DIRECTORY: JSON.
	MemoryDirectory secret.Text
	// Pepper is the secret under which keys are stored. KEY_PEPPER: at least 16 bytes.
	Pepper subscription.Pepper

	// Upstreams are where the models answer: one endpoint, set by UPSTREAM_URL,
	// UPSTREAM_SHAPE (openai by default, models or deployments), UPSTREAM_DEPLOYMENT
	// (its own name for the model, by default the caller's), UPSTREAM_API_VERSION (by
	// default the shape's) and UPSTREAM_API_KEY (without one, Identity calls); or
	// several, as the JSON of UPSTREAMS has them. They have no Token yet.
	Upstreams []upstream.Endpoint
	// Timeouts bound what upstream and a stream's caller may take.
	// UPSTREAM_HEADER_TIMEOUT 220s, UPSTREAM_TIMEOUT 225s, STREAM_IDLE_TIMEOUT
	// 120s, KEEP_ALIVE_INTERVAL 15s, WRITE_TIMEOUT 30s.
	Timeouts upstream.Timeouts
	// ClientID picks a user-assigned identity. AZURE_CLIENT_ID.
	ClientID string

	// BasePath may precede every route. BASE_PATH: begins with a slash, default /inference.
	BasePath string
	// Models that callers may name, the only one where a call names none. MODELS:
	// separated by commas, by default what UPSTREAMS list, else DeepSeek-R1.
	Models []string
	// SettleTimeout is how long an endpoint is read on for its usage when a caller
	// has left or a time has run out. SETTLE_TIMEOUT: default 20s; 0 cancels at once.
	SettleTimeout time.Duration
	// TokensPerSecond bounds what a model writes of one completion in a second, by
	// model; the empty name is all others. TOKENS_PER_SECOND: a number and MODEL=NUMBER
	// pairs, separated by commas; default 100.
	TokensPerSecond map[string]int64
	// MaxBody is the largest request body in bytes. MAX_BODY_BYTES: default 4194304.
	MaxBody int64
	// Origins are those whose pages may call the gateway from a browser. CORS_ORIGINS:
	// separated by commas, such as http://localhost:5173, or *; default none.
	Origins []string
	// TokensComment has streams tell what they took and what remains in comments
	// just before [DONE]. STREAM_TOKENS_COMMENT: true or false (default).
	TokensComment bool
	// Headers names the answers' headers. REMAINING_TOKENS_HEADER,
	// TOKENS_CONSUMED_HEADER, REMAINING_QUOTA_TOKENS_HEADER, RETRY_AFTER_HEADER:
	// by default as APIM's samples have them.
	Headers gateway.HeaderNames

	// Counting tells callers apart, and says how long their usage is kept.
	Counting Counting
	// Telemetry is what is sent to Application Insights.
	Telemetry Telemetry

	// Manage is what is served beside the gateway to who operates it.
	Manage Manage

	// HeaderTimeout and BodyTimeout bound how long a caller may take to send its
	// request. HEADER_TIMEOUT: default 5s. BODY_TIMEOUT: default 30s.
	HeaderTimeout, BodyTimeout time.Duration
	// DrainTimeout bounds the end of calls under way when the process is told to
	// stop. DRAIN_TIMEOUT: default 30s.
	DrainTimeout time.Duration
}

// Load reads the settings. Its error names every fault.
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

// pepper is the secret under which keys are stored, which knows its own faults.
func (s *settings) pepper(name string) subscription.Pepper {
	pepper, err := subscription.NewPepper(strings.TrimSpace(s.getenv(name)))
	if err != nil {
		s.faults = append(s.faults, fmt.Errorf("%s %w", name, err))
	}
	return pepper
}

// checkStore tries what wire will open, so that its faults are named with all
// others. It makes no call.
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

// port is where to listen, and whether the Functions host said so.
func (s *settings) port() (port int, underHost bool) {
	for _, name := range []string{"FUNCTIONS_CUSTOMHANDLER_PORT", "FUNCTIONS_HTTPWORKER_PORT"} {
		if s.text(name, "") != "" {
			return int(s.number(name, 0, 1, 65535)), true
		}
	}
	return int(s.number("PORT", 7071, 1, 65535)), false
}

// basePath is a path that begins with a slash and doesn't end with one.
func (s *settings) basePath(name, fallback string) string {
	value := strings.TrimRight(s.text(name, fallback), "/")
	if value != "" && !strings.HasPrefix(value, "/") {
		s.fault(name, fmt.Sprintf("is %q", value), "begin it with a slash")
	}
	if strings.ContainsAny(value, "?#%") {
		s.fault(name, fmt.Sprintf("is %q", value), "use a path alone, as it is when nothing in it is escaped")
	}
	return value
}

// LogValue is what the start's log line shows: no secret is in it.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("store", c.Store), slog.Any("upstreams", addresses(c.Upstreams)),
		slog.Any("models", c.Models), slog.String("base_path", c.BasePath), slog.Bool("under_host", c.UnderHost))
}

// addresses are the endpoints' shapes and URLs, for the log.
func addresses(endpoints []upstream.Endpoint) []string {
	all := make([]string, len(endpoints))
	for i, e := range endpoints {
		all[i] = string(e.Shape) + " " + e.URL
	}
	return all
}
