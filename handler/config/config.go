// Package config reads and checks the gateway's settings. It builds nothing and makes no calls.
//
// Load reads the environment into a Config. Each method of settings reads one kind of value and
// collects faults, so that one error lists all of them.
//
// Start reading at Config, then Load. Each group of settings has a file.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"tollgate/handler/alert"
	"tollgate/handler/azure"
	"tollgate/handler/gateway"
	"tollgate/handler/ledger"
	pricemem "tollgate/handler/price/memstore"
	"tollgate/handler/secret"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/memstore"
	"tollgate/handler/upstream"
)

// A Config holds every setting, read from the environment once, at the start. In
// Azure Functions they are the app's settings, locally the Values of
// local.settings.json. Each field's comment names its setting and default.
type Config struct {
	// Server configures the listener, and how long the process waits for callers.
	Server Server
	// Store configures where keys, counters and usage are kept.
	Store Store
	// Upstream configures the endpoints.
	Upstream Upstream
	// Gateway configures what callers may send and see.
	//
	// BASE_PATH (default /inference) begins with a slash. MODELS, separated by commas, is by
	// default the models of UPSTREAMS, else DeepSeek-R1. SETTLE_TIMEOUT: default 20s; 0
	// cancels at once. TOKENS_PER_SECOND: a number and MODEL=NUMBER pairs, separated by
	// commas; default 100. MAX_BODY_BYTES: default 4194304. CORS_ORIGINS: separated by
	// commas, such as http://localhost:5173, or *; default none. STREAM_TOKENS_COMMENT: true
	// or false (default). REMAINING_TOKENS_HEADER, TOKENS_CONSUMED_HEADER,
	// REMAINING_QUOTA_TOKENS_HEADER and RETRY_AFTER_HEADER: by default the names of APIM's
	// samples.
	//
	// In Azure, where WEBSITE_SITE_NAME is set, a client's address comes from the front end,
	// and under any other Functions host from the host. CLIENT_IP_HEADER takes precedence
	// over both: it names the header in which the operator's own proxy, such as Front Door,
	// sends the address. Set it only if no client can bypass the proxy.
	Gateway gateway.Settings
	// Telemetry configures Application Insights.
	Telemetry Telemetry
	// Alerts is the webhook that gets alerts of limits, besides the log and Application
	// Insights. ALERT_WEBHOOK_URL: an https address, or http at a loopback address; default
	// none. ALERT_WEBHOOK_SECRET: 32 bytes or more.
	Alerts alert.Webhook
	// Manage configures the operators' API and the console.
	Manage Manage
}

// Server configures the listener, and how long the process waits for callers.
type Server struct {
	// Port is the port at 127.0.0.1 to listen on. The Functions host sets it in
	// FUNCTIONS_CUSTOMHANDLER_PORT or, by its older name, FUNCTIONS_HTTPWORKER_PORT.
	// Without a host: PORT, default 7071, like func's.
	Port int
	// UnderHost reports whether the Functions host started this process.
	UnderHost bool
	// HeaderTimeout and BodyTimeout bound the time a caller may take to send its
	// request. HEADER_TIMEOUT: default 5s. BODY_TIMEOUT: default 30s.
	HeaderTimeout, BodyTimeout time.Duration
	// DrainTimeout bounds the time that calls in flight get when the process stops.
	// DRAIN_TIMEOUT: default 30s.
	DrainTimeout time.Duration
}

// Store configures where keys, counters and usage are kept.
type Store struct {
	// Kind selects the stores. STORE: tables (default), or memory to try things out: one
	// process, nothing persists.
	Kind string
	// Account is the storage account of STORE=tables: AzureWebJobsStorage and its variants.
	Account azure.Settings
	// MemoryDirectory holds the tiers, subscriptions and keys of STORE=memory.
	// MEMORY_DIRECTORY: JSON.
	MemoryDirectory secret.Text
	// Pepper is the secret that keys are hashed with. KEY_PEPPER: at least 16 bytes.
	Pepper subscription.Pepper
	// Retention is the age at which days of usage are deleted. USAGE_RETENTION: default 400d.
	Retention time.Duration
}

// Upstream configures the endpoints.
type Upstream struct {
	// Endpoints holds either one, set by UPSTREAM_URL, UPSTREAM_SHAPE (openai by default,
	// models, deployments or anthropic), UPSTREAM_DEPLOYMENT (the model's name at the
	// endpoint, by default the caller's), UPSTREAM_FAMILY (the model that answers as the
	// deployment, by default the one of that name), UPSTREAM_API_VERSION (by default the shape's),
	// UPSTREAM_STREAM_OPTIONS (auto, on or off), UPSTREAM_AUDIENCE (the scope of tokens) and
	// UPSTREAM_API_KEY (if missing, calls are made as the app's identity, or as the
	// user-assigned one that AZURE_CLIENT_ID selects); or several, from the JSON of
	// UPSTREAMS. Their Token is not set: upstream.Identified sets it.
	Endpoints []upstream.Endpoint
	// Timeouts bound calls to endpoints and writes to callers.
	// UPSTREAM_HEADER_TIMEOUT 220s, UPSTREAM_TIMEOUT 225s, STREAM_IDLE_TIMEOUT
	// 120s, KEEP_ALIVE_INTERVAL 15s, WRITE_TIMEOUT 30s.
	Timeouts upstream.Timeouts
}

// Load reads the settings. Its error lists every fault.
func Load(getenv func(string) string) (Config, error) {
	s := &settings{getenv: getenv}
	c := Config{Server: s.server(), Store: s.store(), Telemetry: s.telemetry(), Alerts: s.alerts(), Manage: s.manage(), Upstream: Upstream{
		Endpoints: s.upstreams(s.text("AZURE_CLIENT_ID", "")),
		Timeouts: upstream.Timeouts{
			Header:    s.duration("UPSTREAM_HEADER_TIMEOUT", upstream.DefaultTimeouts.Header),
			Whole:     s.duration("UPSTREAM_TIMEOUT", upstream.DefaultTimeouts.Whole),
			Idle:      s.duration("STREAM_IDLE_TIMEOUT", upstream.DefaultTimeouts.Idle),
			KeepAlive: s.duration("KEEP_ALIVE_INTERVAL", upstream.DefaultTimeouts.KeepAlive),
			Write:     s.duration("WRITE_TIMEOUT", upstream.DefaultTimeouts.Write),
		},
	}}
	c.Gateway = gateway.Settings{
		BasePath:        s.basePath("BASE_PATH", "/inference"),
		Models:          s.models(c.Upstream.Endpoints),
		Headers:         s.headerNames(),
		Addresses:       s.addresses(c.Server.UnderHost),
		Origins:         s.origins("CORS_ORIGINS"),
		SettleTimeout:   s.durationOrNone("SETTLE_TIMEOUT", 20*time.Second),
		TokensPerSecond: s.tokensPerSecond("TOKENS_PER_SECOND"),
		MaxBody:         s.number("MAX_BODY_BYTES", 4<<20, 1<<10, 64<<20),
		TokensComment:   s.oneOf("STREAM_TOKENS_COMMENT", "false", "true") == "true",
	}
	s.checkAzure()
	return c, s.err()
}

// server reads the settings of Server.
func (s *settings) server() Server {
	c := Server{
		HeaderTimeout: s.duration("HEADER_TIMEOUT", 5*time.Second),
		BodyTimeout:   s.duration("BODY_TIMEOUT", 30*time.Second),
		DrainTimeout:  s.duration("DRAIN_TIMEOUT", 30*time.Second),
	}
	c.Port, c.UnderHost = s.port()
	return c
}

// store reads the settings of Store, and reports their faults with all others.
func (s *settings) store() Store {
	c := Store{
		Kind:            s.oneOf("STORE", "tables", "memory"),
		Account:         azure.ReadSettings(s.getenv),
		MemoryDirectory: secret.New(s.text("MEMORY_DIRECTORY", "")),
		Pepper:          s.pepper("KEY_PEPPER"),
		Retention:       s.retention("USAGE_RETENTION"),
	}
	s.checkStore(c)
	return c
}

// retention reads how long usage is kept.
func (s *settings) retention(name string) time.Duration {
	value := s.text(name, "")
	retention, err := ledger.ParseRetention(value)
	if err != nil {
		s.fault(name, fmt.Sprintf("is %q", value), err.Error())
	}
	return retention
}

// addresses reads which headers a client's address comes from.
func (s *settings) addresses(underHost bool) gateway.Addresses {
	a := gateway.Addresses{FrontEnd: s.text("WEBSITE_SITE_NAME", "") != "", Host: underHost}
	if s.text("CLIENT_IP_HEADER", "") != "" {
		a.Header = s.header("CLIENT_IP_HEADER", "X-Azure-ClientIP")
	}
	return a
}

// pepper reads the secret that keys are hashed with.
func (s *settings) pepper(name string) subscription.Pepper {
	pepper, err := subscription.NewPepper(strings.TrimSpace(s.getenv(name)))
	if err != nil {
		s.faults = append(s.faults, fmt.Errorf("%s %w", name, err))
	}
	return pepper
}

// checkStore opens the stores as package app will, to report their faults with all others.
// It makes no network call.
func (s *settings) checkStore(c Store) {
	switch {
	case c.Kind != "memory":
		if _, err := azure.Open(c.Account); err != nil {
			s.faults = append(s.faults, err)
		}
	case c.MemoryDirectory.Empty():
		s.fault("MEMORY_DIRECTORY", "is missing", "with STORE=memory set it to JSON of tiers, subscriptions and keys, and of prices")
	case c.Pepper != subscription.Pepper{}:
		if _, _, err := c.OpenMemory(); err != nil {
			s.faults = append(s.faults, errors.New("MEMORY_DIRECTORY "+strings.ReplaceAll(err.Error(), "\n", "\nMEMORY_DIRECTORY ")))
		}
	}
}

// OpenMemory returns the stores in memory that MEMORY_DIRECTORY describes.
func (c Store) OpenMemory() (*memstore.Store, *pricemem.Store, error) {
	text := []byte(c.MemoryDirectory.Reveal())
	directory, err := memstore.Load(text, c.Pepper)
	if directory == nil {
		return nil, nil, err
	}
	prices, priceErr := pricemem.Load(text)
	return directory, prices, errors.Join(err, priceErr)
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
		slog.String("store", c.Store.Kind), slog.Any("upstreams", addresses(c.Upstream.Endpoints)),
		slog.Any("models", c.Gateway.Models), slog.String("base_path", c.Gateway.BasePath), slog.Bool("under_host", c.Server.UnderHost))
}

// addresses returns the endpoints' shapes and URLs, for the log.
func addresses(endpoints []upstream.Endpoint) []string {
	all := make([]string, len(endpoints))
	for i, e := range endpoints {
		all[i] = string(e.Shape) + " " + e.URL
	}
	return all
}
