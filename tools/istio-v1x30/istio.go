//go:build tools

// Package istio pins Istio 1.30, from whose Go module tools/generate takes
// CRDs and injection templates, and tools/istio builds the programs that the
// lab runs. The version is written in go.mod;
// lib/istioversion/versions.yaml must agree with it.
package istio

import (
	_ "istio.io/istio/manifests"                 // the charts
	_ "istio.io/istio/pilot/cmd/pilot-agent"     // what starts Envoy
	_ "istio.io/istio/pilot/cmd/pilot-discovery" // istiod
	_ "istio.io/istio/pkg/test/echo/cmd/client"  // for Pods of tests
	_ "istio.io/istio/pkg/test/echo/cmd/server"
)
