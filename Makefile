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
# No path of this folder gets into what is compiled: images have the same digests wherever they are built, and all
# checkouts share one build cache. Programs and tests alike, else a machine would compile most packages twice.
export GOFLAGS := -mod=readonly -buildvcs=false -trimpath

# The module's programs, with the packages that they are built of, and the lab that runs them here.
PROGRAMS := lab probe operator operator-bundled istio-hooks alliance-healthcheck metadata-exporter metadata-watcher api-proxy
package.lab := ./cmd/lab
package.probe := ./cmd/lab/probe
package.operator := ./cmd/operator
package.operator-bundled := ./cmd/operator/bundled
package.istio-hooks := ./hooks/batch
package.alliance-healthcheck := ./images/alliance-healthcheck/cmd/alliance-healthcheck
package.metadata-exporter := ./images/metadata-exporter/cmd/metadata-exporter
package.metadata-watcher := ./images/metadata-exporter/cmd/metadata-watcher
package.api-proxy := ./images/api-proxy/cmd/api-proxy
package.enabled := ./hooks/enabled
# Programs that run nowhere else but here.
package.conformance := ./test/conformance
package.bench := ./test/bench
package.published := ./tools/published
package.istio-patches := ./tools/istiopatches
DEMO_DIR ?= .cache/demo
DEMO_MODE ?= federation
# Packages without the end-to-end tests, which need a lab.
UNIT = $$(go list ./... | grep -v -e /test/e2e -e /test/lab)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: generate
generate: ## Take the files of other Go modules that the module needs: library chart, CRDs
	@go run ./tools/generate

.PHONY: deepcopy
deepcopy: ## Generate the DeepCopy methods of the API types (committed), after a change of a type
	@go build -modfile=tools/deepcopy/go.mod -o .cache/tools/deepcopy/deepcopy-gen k8s.io/code-generator/cmd/deepcopy-gen
	@.cache/tools/deepcopy/deepcopy-gen --output-file zz_generated.deepcopy.go ./lib/api/v1alpha1 ./lib/metadata

.PHONY: build
build: generate ## Build the module's programs, the lab and the operator into bin/
	@echo "build: $(PROGRAMS) (a few minutes the first time)"
	@$(MAKE) $(addprefix bin/,$(PROGRAMS))

# Programs have no symbols, as those of tools/programs have none.
LINK := -s -w

# Go knows whether a program is up to date. tools/programs builds for publication with the same flags.
bin/%: always
	@mkdir -p bin
	@go build -ldflags '$(LINK)' -o $@ $(or $(package.$*),$(error no package is named for program $*))

.PHONY: always
always:

.PHONY: tools
tools: ## Build other people's programs for the lab (Kubernetes, containerd, CoreDNS, Istio, Traefik) once, into a cache; REVISIONS="v1x31 …" of Istio alone
	@tools/kube/build.sh "$(CURDIR)/.cache/tools/kube"
	@tools/containerd/build.sh "$(CURDIR)/.cache/tools/node"
	@tools/runc/build.sh "$(CURDIR)/.cache/tools/node"
	@tools/coredns/build.sh "$(CURDIR)/.cache/tools/coredns"
	@tools/istio/build.sh "$(CURDIR)/.cache/tools/istio" $(REVISIONS)
	@tools/envoy/build.sh "$(CURDIR)/.cache/tools/envoy" $(REVISIONS)
	@tools/traefik/build.sh "$(CURDIR)/.cache/tools/traefik"
	@tools/debian/build.sh "$(CURDIR)/.cache/tools/debian"
	@tools/pause/build.sh "$(CURDIR)/.cache/tools/pause"

.PHONY: images
images: local-images ## Build the images that the lab runs (ENVOY=FILE: another Envoy in the proxies); with REGISTRY=registry.example.com/mesh/istio VERSION=v1.2.3 also ours for linux/amd64 and linux/arm64, and push them
	@$(if $(REGISTRY),go run ./tools/images --publish .cache/publish --push --repository "$(REGISTRY)" $(STAMP))

# What is published names its version and its commit.
STAMP = $(if $(VERSION),--version "$(VERSION)") --revision "$$(git rev-parse HEAD)"

.PHONY: images-verify
images-verify: ## Ask REGISTRY=registry.example.com/mesh/istio whether it has what was pushed, fit to publish: platforms, users, labels, SBOM, provenance, sizes; without REGISTRY push into one on loopback first
	@$(MAKE) bin/published
	@bin/published $(if $(REGISTRY),--repository "$(REGISTRY)",$(MAKE) bundle)

.PHONY: local-images
local-images: build tools
	@go run ./tools/images $(if $(ENVOY),--envoy "$(ENVOY)")

.PHONY: images-mirror
images-mirror: ## List the images of others that the module can ask for, and copy them (REGISTRY=registry.example.com/mesh/istio FROM=docker.io=mirror.example.com)
	@go run ./tools/mirror $(if $(REGISTRY),--repository "$(REGISTRY)") $(if $(FROM),--from "$(FROM)")

.PHONY: bundle
bundle: images ## Lay the module out as Deckhouse unpacks it, into .cache/bundle: folder, module image, release image; with REGISTRY=registry.example.com/modules/istio VERSION=v1.2.3 push them (MODULE=istio-alliance: by its second name, into .cache/bundle-istio-alliance)
	@$(if $(filter-out istio,$(MODULE)),$(MAKE) named-programs MODULE="$(MODULE)")
	@go run ./tools/bundle $(NAMED) $(if $(filter-out istio,$(MODULE)),--out ".cache/bundle-$(MODULE)") $(if $(VERSION),--version "$(VERSION)")
	@$(if $(REGISTRY),go run ./tools/bundle $(NAMED) --images .cache/publish --publish ".cache/publish/bundle$(if $(filter-out istio,$(MODULE)),-$(MODULE))" --push --repository "$(REGISTRY)" $(STAMP))

# The name by which Deckhouse knows the module; a platform that has an istio of its own installs no other of that name.
MODULE ?= istio
NAMED = --module "$(MODULE)"
NAME_LINKED = -ldflags "$(LINK) -X github.com/deckhouse-mesh/istio/lib/names.module=$(MODULE)"

# What the bundle has with its name linked in.
.PHONY: named-programs
named-programs:
	@mkdir -p "bin/$(MODULE)"
	@$(foreach program,istio-hooks enabled operator-bundled,go build $(NAME_LINKED) -o "bin/$(MODULE)/$(program)" $(package.$(program)) &&) true

.PHONY: chart
chart: local-images ## Package the operator's Helm chart into .cache/chart, beside install.yaml, the same as one file (VERSION=1.2.3 REGISTRY=registry.example.com/mesh)
	@go run ./tools/chart --images $(if $(and $(REGISTRY),$(wildcard .cache/publish/images/index.json)),.cache/publish/images,.cache/images) $(if $(VERSION),--version "$(VERSION)") $(if $(REGISTRY),--registry "$(REGISTRY)")

.PHONY: install-manifests
install-manifests: chart ## The chart as one file, .cache/chart/install.yaml, for kubectl apply --server-side

.PHONY: demo
demo: REVISIONS ?= default
demo: images ## Show a request that crosses two clusters (root); stays until Ctrl-C, DEMO_ONCE=1 ends by itself, DEMO_MODE=multicluster shows one mesh
	@exec bin/lab demo --state-dir "$(DEMO_DIR)" --mode "$(DEMO_MODE)" $(if $(filter-out 0,$(DEMO_ONCE)),--once)

.PHONY: test
test: test-unit test-api-proxy test-installation test-lab test-e2e test-conformance ## Run all tests but test-kubernetes

.PHONY: test-unit
test-unit: generate ## Run the tests that need no cluster
	@echo "test: packages"
	@go test -timeout 15m $(UNIT)
	@echo "test: hooks of the module by its second name"
	@$(MAKE) test-second-name MODULE=istio-alliance
	@echo "test: what Istio itself makes of the module's objects and of documented policies"
	@# With the flags of tools/istio/build.sh, which has compiled Istio.
	@for module in $$(dirname tools/istio-v*/*_test.go | sort -u); do (cd "$$module" && GOFLAGS=-mod=readonly go test -buildvcs=false -count=1 -tags vtprotobuf,disable_pgv .) || exit; done

.PHONY: test-second-name
test-second-name:
	@go test -timeout 5m $(NAME_LINKED) ./hooks ./cmd/operator/internal/options

.PHONY: test-api-proxy
test-api-proxy: generate ## Ask the API proxy for everything that a real API server has
	@tools/kube/build.sh "$(CURDIR)/.cache/tools/kube"
	@echo "test: the API proxy in front of a real API server"
	@$(MAKE) bin/api-proxy
	@go test -tags apiserver -count=1 -timeout 5m ./test/guarded/...

.PHONY: test-installation
test-installation: generate tools ## Run the operator with the rights of its manifests, and the module by its second name beside a stand-in of the embedded istio, against a real API server
	@echo "test: the operator's rights, on a real API server"
	@$(MAKE) bin/operator
	@$(MAKE) named-programs MODULE=istio-alliance
	@go test -tags apiserver -count=1 -timeout 10m -run 'TestTheOperator' ./cmd/lab/internal/install

.PHONY: test-lab
test-lab: REVISIONS ?= default
test-lab: images ## Test the lab itself: real nodes, their network, and that nothing of them stays (root)
	@echo "test: the lab"
	@go test -tags e2e -count=1 -timeout 20m -v ./test/lab/...

.PHONY: test-e2e
test-e2e: SIDE_BY_SIDE ?= 1
test-e2e: chart $(if $(filter-out 0,$(BUNDLE)),bundle) ## Run the end-to-end tests on labs of real nodes; needs root (RUN=TestAPublishedService: some of them; BUNDLE=1: hooks as processes, as in Deckhouse, with MODULE=istio-alliance by its second name; SIDE_BY_SIDE=0: one lab at a time)
	@tools/helm/build.sh "$(CURDIR)/.cache/tools/helm"
	@echo "test: end to end, on labs of real nodes"
	@go test -c -tags e2e -o bin/e2e.test ./test/e2e
	@bin/e2e.test -test.v -test.timeout 45m $(if $(RUN),-test.run '$(RUN)') $(if $(filter-out 0,$(BUNDLE)),-bundle) $(if $(filter-out istio,$(MODULE)),-module '$(MODULE)') $(if $(filter-out 0,$(SIDE_BY_SIDE)),-side-by-side)

# Two builds of the module, whose images have different digests: charts of the next one, and of both as bundles. All
# their images stay in .cache/images and .cache/bundle for a day, beside those that `make images bundle` leaves there.
NEXT := 0.0.2-next
.PHONY: upgrade-charts
upgrade-charts: bundle
	@rm -rf .cache/upgrade
	@go run ./tools/images $(if $(ENVOY),--envoy "$(ENVOY)") --version v$(NEXT)
	@go run ./tools/bundle --version v$(NEXT)
	@go run ./tools/chart --version $(NEXT) --images .cache/images --out .cache/upgrade/next
	@go run ./tools/chart --version $(NEXT) --images .cache/bundle/images --out .cache/upgrade/next-bundle
	@$(MAKE) bundle chart
	@go run ./tools/chart --images .cache/bundle/images --out .cache/upgrade/bundle

.PHONY: soak
soak: upgrade-charts ## Count requests that are lost while roots, versions, gateways, nodes and the module itself are replaced, and upgrade from every version: about forty minutes; needs root (RUN=TestSoakOfUpgrades: one of the tests)
	@tools/helm/build.sh "$(CURDIR)/.cache/tools/helm"
	@go test -c -tags e2e -o bin/e2e.test ./test/e2e
	@bin/e2e.test -test.v -test.timeout 80m -soak -test.run '$(or $(RUN),^TestSoak)'

.PHONY: three-clusters
three-clusters: REVISIONS ?= default
three-clusters: images ## Send requests through a mesh of three clusters whose Pods reach each other by gateways only: some ten minutes; needs root
	@go test -c -tags e2e -o bin/e2e.test ./test/e2e
	@bin/e2e.test -test.v -test.timeout 40m -three-clusters -test.run '$(if $(RUN),$(RUN),^TestThreeClusters$$)'

.PHONY: observability
observability: build tools ## Run Jaeger and Prometheus on a lab of real nodes, and ask them about the module; needs root (ENVOY=FILE: another Envoy in the proxies)
	@tools/jaeger/build.sh "$(CURDIR)/.cache/tools/jaeger"
	@tools/prometheus/build.sh "$(CURDIR)/.cache/tools/prometheus"
	@tools/prometheus-config/build.sh "$(CURDIR)/.cache/tools/prometheus-config"
	@go run ./tools/images $(if $(ENVOY),--envoy "$(ENVOY)")
	@go test -c -tags e2e -o bin/e2e.test ./test/e2e
	@bin/e2e.test -test.v -test.timeout 30m -observability -test.run '^TestObserved'

.PHONY: conformance
conformance: REVISIONS ?= default
conformance: build tools ## Run tests by others against the module, on labs of real nodes; needs root (PART="gateway-api-mesh …", BASELINE=1: against Istio's own chart)
	@tools/conformance/build.sh "$(CURDIR)/.cache/tools/conformance" servers
	@go run ./tools/images $(if $(ENVOY),--envoy "$(ENVOY)")
	@$(MAKE) bin/conformance
	@exec bin/conformance $(if $(filter-out 0,$(BASELINE)),--baseline) $(PART)

.PHONY: test-conformance
test-conformance: ## Run what of the tests by others takes minutes: reachability, routing, authorization, JWT (root)
	@echo "test: tests by others"
	@$(MAKE) conformance PART="gateway-api-mesh istio-security-short"

.PHONY: test-kubernetes
test-kubernetes: generate ## Ask the oldest and the newest supported Kubernetes to accept what is rendered (builds one more API server)
	@tools/kube/build.sh "$(CURDIR)/.cache/tools/kube"
	@tools/kube/build-apiservers.sh "$(CURDIR)/.cache/tools/kubernetes"
	@go test -tags kubernetes -count=1 -timeout 10m ./test/kubernetes/...

.PHONY: bench
bench: REVISIONS ?= default
bench: bench-tools $(if $(filter-out 0,$(BENCH_BUNDLE)),bundle,images) ## Measure at scale, on labs of real nodes; needs root (BENCH_SERVICES=100,1000 BENCH_PEERS=1 BENCH_PARTS=import,publish,serve,request,call,revoke,proxy,hostile; BENCH_BUNDLE=1: hooks as processes)
	@$(MAKE) bin/bench
	@exec bin/bench

.PHONY: bench-tools
bench-tools: # fortio, whose image is built with the others where it is there
	@tools/fortio/build.sh "$(CURDIR)/.cache/tools/fortio"

.PHONY: bench-go
bench-go: generate ## Run the Go benchmarks
	@go test -run '^$$' -bench . -benchmem $(UNIT) | grep -v 'no test files'

.PHONY: lint
lint: generate ## Run golangci-lint, go vet among its linters, and govulncheck (built on first use, some minutes)
	@# Not `go tool`, which reports success for a program that a signal ends.
	@go build -modfile=tools/lint/go.mod -o .cache/tools/lint/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@.cache/tools/lint/golangci-lint run ./...
	@go run ./tools/vulncheck

.PHONY: istio-patches
istio-patches: ## Compare the Istio that is run with the newest patches upstream (ISTIO_REPOSITORY=URL)
	@$(MAKE) bin/istio-patches
	@bin/istio-patches

.PHONY: clean
clean: ## Remove what was built and generated here, unless a node of a lab lives; other people's programs stay in their cache
	@if [[ -x bin/lab ]]; then for dir in .cache/lab "$(DEMO_DIR)"; do [[ ! -d $$dir ]] || bin/lab down --state-dir "$$dir"; done; fi
	@if nodes=$$(pgrep -af '^lab-node-init '); then echo "clean: these nodes of a lab live; stop it with \`lab down --state-dir DIR\`:" >&2; echo "$$nodes" >&2; exit 1; fi
	@rm -rf bin .cache charts crds/istio crds/operator files tools/traefik/.lego
