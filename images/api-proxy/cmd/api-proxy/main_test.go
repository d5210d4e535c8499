package main

import (
	"testing"

	"github.com/deckhouse-mesh/istio/test/support/programtest"
)

func TestInvalidFlagsKeepTheProxyFromStarting(t *testing.T) {
	identity := "--cluster-uuid=uuid-a"
	programtest.Fails(t, newCommand, map[string]programtest.Start{
		"no identity":           {Args: nil, Want: `"cluster-uuid" not set`},
		"an empty UUID":         {Args: []string{"--cluster-uuid="}, Want: "--cluster-uuid must not be empty"},
		"no namespace":          {Args: []string{identity, "--namespace="}, Want: "--namespace must not be empty"},
		"a limit of zero":       {Args: []string{identity, "--max-watches-per-peer=0"}, Want: "--max-watches-per-peer must be at least 1"},
		"an unknown log level":  {Args: []string{identity, "--log-level=loud"}, Want: "unknown name"},
		"an extra argument":     {Args: []string{identity, "serve"}, Want: `unknown command "serve"`},
		"a missing token file":  {Args: []string{identity}, User: `tokenFile: "/nowhere/token"`, Want: "/nowhere/token"},
		"a missing certificate": {Args: []string{identity, "--tls-dir=" + t.TempDir()}, Want: "read the TLS certificate"},
	})
}

func TestTheFlagsAreTheDocumentedOnes(t *testing.T) {
	programtest.HasFlags(t, newCommand(), "listen-address", "telemetry-address", "namespace", "cluster-uuid", "tls-dir", "ingress-client-ca",
		"max-requests-per-peer", "max-watches-per-peer", "max-connections", "log-level")
}
