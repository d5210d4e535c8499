module github.com/deckhouse-mesh/istio/tools/istio-v1x29

go 1.26.4

require istio.io/istio v0.0.0-20260306174214-6991a379e1fc
