module github.com/deckhouse-mesh/istio/tools/deepcopy

go 1.26.4

toolchain go1.26.11

tool k8s.io/code-generator/cmd/deepcopy-gen

require k8s.io/code-generator v0.35.10
