//go:build tools

// Package conformance pins the suites of tests by others that `make conformance`
// runs against clusters with the module: Istio's own integration tests and the
// conformance tests of Gateway API, in the versions that go with Istio 1.31.
// Nothing of them is copied: build.sh compiles them where Go keeps their modules.
package conformance

import (
	_ "istio.io/istio/pkg/test/framework"
	_ "istio.io/istio/pkg/test/framework/components/echo/common/deployment"
	_ "istio.io/istio/pkg/test/shell" // of some suites alone
	_ "istio.io/istio/tests/integration/pilot/common"
	_ "sigs.k8s.io/gateway-api/conformance" // its tests, and manifests
	_ "sigs.k8s.io/gateway-api/conformance/tests"
	_ "sigs.k8s.io/gateway-api/pkg/consts" // beside the CRDs
)
