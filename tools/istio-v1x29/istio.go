// Package istio pins Istio 1.29.1, whose Go module is where its CRDs come from
// (tools/generate). The version is written in go.mod and nowhere else.
package istio

import _ "istio.io/istio/manifests" // keeps the requirement when go.mod is tidied
