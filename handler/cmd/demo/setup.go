package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"tollgate/handler/azure"
	"tollgate/handler/local/azurite"
	"tollgate/handler/local/fakemodel"
	"tollgate/handler/secret"
	"tollgate/handler/shape"
	"tollgate/handler/subscription"
	"tollgate/handler/subscription/subscriptiontest"
	"tollgate/handler/subscription/tablestore"
)

// A setup holds everything that runs for a demo.
type setup struct {
	key, url string
	operator string // the key of /manage
	handler  *exec.Cmd
	exited   chan error
	emulator *azurite.Server
	model    *http.Server
	insights *localInsights
	hook     *webhook // nil: alerts go nowhere
	tollgate string   // the command line's path, if it was built
}

// pepper hashes the demo's keys, which exist as long as the demo runs.
const pepper = "for-the-demo-on-one-machine-only"

// tokensPerMinute is the limit of the article's subscription.
const tokensPerMinute = 300

func newSetup() *setup {
	return &setup{operator: rand.Text() + rand.Text(), exited: make(chan error, 1)}
}

// start starts everything. The gateway listens on port; 0 picks a free one.
func start(ctx context.Context, port int) (*setup, error) {
	s := newSetup()
	s.key = subscription.NewKey()
	store, err := s.openStore(ctx)
	if err == nil {
		err = s.startGateway(ctx, port, store)
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// startGateway starts the model, the collector of telemetry and the gateway, with the
// settings of its store.
func (s *setup) startGateway(ctx context.Context, port int, store []string) error {
	modelAddress, err := s.startModel()
	if err != nil {
		return err
	}
	telemetry, err := s.startInsights()
	if err != nil {
		return err
	}
	chosen, err := freePort(port)
	if err != nil {
		return err
	}
	binary, err := build(ctx, "handler", "./handler")
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(".local", "handler.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	s.url = "http://127.0.0.1:" + chosen
	s.handler = exec.Command(binary)
	s.handler.Stdout, s.handler.Stderr = log, os.Stderr
	s.handler.Env = append(os.Environ(), append(append(store, telemetry...), "PORT="+chosen, "KEY_PEPPER="+pepper,
		"UPSTREAMS="+upstreams(modelAddress), "UPSTREAM_URL=", "UPSTREAM_KEY="+fakemodel.Key, "MODELS="+strings.Join(slices.Concat(openAIModels, anthropicModels), ","),
		"MANAGE_KEY="+s.operator, "MANAGE_ISSUER=", "MANAGE_AUDIENCE=", "CONSOLE=on", "FUNCTIONS_CUSTOMHANDLER_PORT=", "FUNCTIONS_HTTPWORKER_PORT=")...)
	if err := s.handler.Start(); err != nil {
		return fmt.Errorf("start the gateway: %w", err)
	}
	go func() { s.exited <- s.handler.Wait() }()
	return s.ready(ctx)
}

// build builds a command in .local, and returns its path.
func build(ctx context.Context, name, folder string) (binary string, err error) {
	binary = filepath.Join(".local", name)
	command := exec.CommandContext(ctx, "go", "build", "-o", binary, folder)
	command.Stderr = os.Stderr
	if err := command.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w", folder, err)
	}
	return binary, nil
}

// The models that the demo serves, by the shape of their endpoint. The article's is the
// first.
var (
	openAIModels    = []string{"DeepSeek-R1", "gpt-5-mini", "gpt-3.5-turbo-instruct", "text-embedding-3-small"}
	anthropicModels = []string{"claude-sonnet-5"}
)

// upstreams returns the setting UPSTREAMS: the simulated model's endpoints.
func upstreams(address string) string {
	type endpoint struct {
		Name       string            `json:"name"`
		URL        string            `json:"url"`
		Shape      shape.Shape       `json:"shape"`
		Models     map[string]string `json:"models"`
		Credential map[string]string `json:"credential"`
	}
	one := func(shape shape.Shape, names []string) endpoint {
		models := make(map[string]string)
		for _, name := range names {
			models[name] = name
		}
		return endpoint{string(shape), "http://" + address, shape, models, map[string]string{"setting": "UPSTREAM_KEY"}}
	}
	text, err := json.Marshal([]endpoint{one(shape.OpenAI, openAIModels), one(shape.Anthropic, anthropicModels)})
	if err != nil {
		panic(err) // strings always encode
	}
	return string(text)
}

// ended returns the error for a gateway that has exited.
func (s *setup) ended() error {
	return fmt.Errorf("the gateway exited: %v; its log is .local/handler.log", s.handler.ProcessState)
}

// serve waits until ctx is done or the gateway exits.
func (s *setup) serve(ctx context.Context) error {
	select {
	case err := <-s.exited:
		s.exited <- err
		if ctx.Err() == nil { // Ctrl-C stops both
			return s.ended()
		}
	case <-ctx.Done():
	}
	return nil
}

// ready waits until the gateway answers.
func (s *setup) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/", nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			return response.Body.Close()
		}
		select {
		case err := <-s.exited:
			s.exited <- err
			return s.ended()
		case <-ctx.Done():
			return fmt.Errorf("wait for the gateway: %w", ctx.Err())
		case <-time.After(25 * time.Millisecond):
		}
	}
}

// openStore starts Azurite and creates the subscription in it. Without Node.js it falls
// back to memory. It returns the gateway's settings for the store.
func (s *setup) openStore(ctx context.Context) (settings []string, err error) {
	err = s.startEmulator(ctx)
	if errors.Is(err, azurite.ErrNotInstalled) {
		fmt.Println("Node.js is not installed: the counters are kept in memory, not in Azurite.")
		return []string{"STORE=memory", fmt.Sprintf(`MEMORY_DIRECTORY={"tiers":[{"id":"demo","tokensPerMinute":%d}],`+
			`"subscriptions":[{"id":"demo","tier":"demo"}],"keys":[{"subscription":"demo","slot":"primary","key":%q}]}`, tokensPerMinute, s.key)}, nil
	}
	if err != nil {
		return nil, err
	}
	return tables(s.emulator.ConnectionString), s.subscribe(ctx, "demo", s.key, subscriptiontest.Tokens(tokensPerMinute))
}

// startEmulator starts Azurite. The error is azurite.ErrNotInstalled without Node.js.
func (s *setup) startEmulator(ctx context.Context) error {
	err := install(ctx)
	if err == nil {
		s.emulator, err = azurite.Start(ctx, "")
	}
	return err
}

// tables returns the gateway's settings for a store in an emulator.
func tables(connection string) []string {
	return []string{"STORE=tables", "AzureWebJobsStorage=" + connection}
}

// install runs npm ci for the emulator unless it is installed.
func install(ctx context.Context) error {
	if err := os.MkdirAll(".local", 0o755); err != nil {
		return err
	}
	_, missing := os.Stat(filepath.Join("infra", "local", "node_modules", ".package-lock.json")) // npm writes it last
	npm, err := exec.LookPath("npm")
	if missing == nil || err != nil {
		return nil
	}
	fmt.Println("Installing Azurite (once) ...")
	command := exec.CommandContext(ctx, npm, "ci", "--silent", "--prefix", filepath.Join("infra", "local"))
	command.Stderr = os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("npm ci in infra/local: %w", err)
	}
	return nil
}

// subscribe creates a tier with rules, a subscription and its key.
func (s *setup) subscribe(ctx context.Context, id, key string, rules subscription.Rules) error {
	service, err := azure.Open(azure.Settings{ConnectionString: secret.New(s.emulator.ConnectionString)})
	if err != nil {
		return err
	}
	tier := subscription.Tier{ID: id, Rules: rules}
	return subscriptiontest.Add(ctx, tablestore.New(service, tablestore.DefaultTables), pepper, tier, id, key)
}

func (s *setup) startModel() (address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("start the model: %w", err)
	}
	s.model = &http.Server{Handler: new(fakemodel.Endpoint), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.model.Serve(listener) }() // ends with Close
	return listener.Addr().String(), nil
}

// freePort returns port, or any free one if that is 0. It fails if something listens on
// port already, whose answers could be taken for the gateway's.
func freePort(port int) (string, error) {
	if port == 0 {
		return azurite.FreePort()
	}
	given := strconv.Itoa(port)
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", given))
	if err != nil {
		return "", fmt.Errorf("find a port for the gateway: %w", err)
	}
	return given, listener.Close()
}

// stopGateway stops the gateway, which then writes its counters and its ledger.
func (s *setup) stopGateway() {
	if s.handler == nil || s.handler.Process == nil {
		return
	}
	_ = s.handler.Process.Signal(os.Interrupt)
	select {
	case <-s.exited:
	case <-time.After(10 * time.Second):
		_ = s.handler.Process.Kill()
		<-s.exited
	}
	s.handler = nil
}

// stop stops everything, the gateway first, so that it can write to its store.
func (s *setup) stop() {
	s.stopGateway()
	if s.hook != nil {
		_ = s.hook.server.Close()
	}
	if s.model != nil {
		_ = s.model.Close()
	}
	if s.insights != nil {
		_ = s.insights.server.Close()
	}
	if s.emulator != nil {
		s.emulator.Stop()
	}
}

// introduce prints how to call the gateway.
func (s *setup) introduce() {
	const body = `{"model":"DeepSeek-R1",%s"messages":[{"role":"user","content":"Can you tell me the time, please?"}]}`
	curl := func(flags, field string) string {
		return fmt.Sprintf("curl %s '%s/openai/v1/chat/completions' -H 'api-key: %s' -H 'Content-Type: application/json' -d '%s'",
			flags, s.url, s.key, fmt.Sprintf(body, field))
	}
	fmt.Printf("Tollgate serves a simulated DeepSeek-R1 on %s, %d tokens a minute. Its log is .local/handler.log; Ctrl-C stops it.\n\n", s.url, tokensPerMinute)
	fmt.Printf("key:      %s\n\nplain:    %s\n\nstreamed: %s\n", s.key, curl("-i", ""), curl("-i -N", `"stream":true,`))
	fmt.Printf("\nconsole:  %s/console\n\noperate:  export TOLLGATE_SERVER=%s MANAGE_KEY=%s\n", s.url, s.url, s.operator)
	if s.insights != nil {
		fmt.Print("\nWhat Application Insights would receive is printed below, at most 10 s after a call:\n")
		s.insights.shown.Store(true)
	}
}
