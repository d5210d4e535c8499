# Everything a developer does with this repository. `make help` lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The same programs with or without a C compiler, and one build cache for `go build` and `go test`.
export CGO_ENABLED ?= 0
# The Go that go.mod names, whatever Go runs make: older ones and newer ones fetch it.
export GOTOOLCHAIN := $(shell sed -n 's/^toolchain //p' go.mod)
# Settings of a person's other work must not change what is built here.
export GOWORK := off
export GOFLAGS := -mod=readonly -buildvcs=false

# Programs that run in containers or clusters, beside the lab that runs them here.
PROGRAMS := lab operator metadata-exporter api-proxy
DEMO_DIR ?= .cache/demo
# Packages without the end-to-end tests, which need a lab.
UNIT = $$(go list ./... | grep -v /test/e2e)
LINT := go tool -modfile=tools/lint/go.mod golangci-lint

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: generate
generate: ## Take the files of other Go modules that the module needs: library chart, CRDs
	@go run ./tools/generate

.PHONY: build
build: generate ## Build bin/{lab,operator,metadata-exporter,api-proxy}
	@mkdir -p bin
	@echo "build: $(PROGRAMS) (a few minutes the first time)"
	@go build -o bin/lab ./cmd/lab
	@go build -o bin/operator ./cmd/operator
	@go build -o bin/metadata-exporter ./images/metadata-exporter/cmd/metadata-exporter
	@go build -o bin/api-proxy ./images/api-proxy/cmd/api-proxy

.PHONY: tools
tools: ## Build other people's programs for the lab (Kubernetes' control plane, istiod, Traefik) once, into a cache
	@tools/kube/build.sh "$(CURDIR)/.cache/tools/kube"
	@tools/istio/build.sh "$(CURDIR)/.cache/tools/istio"
	@tools/traefik/build.sh "$(CURDIR)/.cache/tools/traefik"

.PHONY: demo
demo: build tools ## Show federation on two clusters; stays until Ctrl-C, DEMO_ONCE=1 ends by itself
	@exec bin/lab demo --state-dir "$(DEMO_DIR)" $(if $(filter-out 0,$(DEMO_ONCE)),--once)

.PHONY: test
test: test-unit test-api-proxy test-e2e ## Run all tests but test-kubernetes

.PHONY: test-unit
test-unit: generate ## Run the tests that need no cluster
	@echo "test: packages"
	@go test -timeout 15m $(UNIT)
	@echo "test: Istio's own validation of what the module generates"
	@cd tools/istio-v1x29 && go test -count=1 .

.PHONY: test-api-proxy
test-api-proxy: generate tools ## Ask the API proxy for everything that a real API server has
	@echo "test: the API proxy in front of a real API server"
	@mkdir -p bin
	@go build -o bin/api-proxy ./images/api-proxy/cmd/api-proxy
	@go test -tags apiserver -count=1 -timeout 5m ./test/guarded/...

.PHONY: test-e2e
test-e2e: build tools ## Run the end-to-end tests on a lab of two clusters
	@echo "test: end to end, on a lab of two clusters"
	@go test -tags e2e -count=1 -timeout 45m -v ./test/e2e/...

.PHONY: test-kubernetes
test-kubernetes: generate tools ## Ask the oldest and the newest supported Kubernetes to accept what is rendered (builds one more API server)
	@tools/kube/build-apiservers.sh "$(CURDIR)/.cache/tools/kubernetes"
	@go test -tags kubernetes -count=1 -timeout 10m ./test/kubernetes/...

.PHONY: bench
bench: build tools ## Measure federation and the API proxy at scale (BENCH_SERVICES=100,1000 BENCH_PEERS=1 BENCH_PARTS=import,publish,serve,proxy)
	@go run ./test/bench

.PHONY: bench-go
bench-go: generate ## Run the Go benchmarks
	@go test -run '^$$' -bench . -benchmem $(UNIT) | grep -v 'no test files'

.PHONY: lint
lint: generate ## Run golangci-lint, go vet among its linters, and govulncheck (built on first use, some minutes)
	@$(LINT) run ./...
	@go run ./tools/vulncheck

.PHONY: clean
clean: ## Remove what was built and generated here; the control plane stays in its cache
	@if [[ -x bin/lab ]]; then for dir in .cache/lab "$(DEMO_DIR)"; do [[ ! -d $$dir ]] || bin/lab down --state-dir "$$dir"; done; fi
	@rm -rf bin .cache charts crds/istio files tools/traefik/.lego
