package main

import (
	"testing"

	"github.com/deckhouse-mesh/istio/test/support/programtest"
)

func TestInvalidFlagsKeepTheExporterFromStarting(t *testing.T) {
	with := func(more ...string) []string {
		return append([]string{"--cluster-domain=cluster-a.local", "--cluster-uuid=uuid-a"}, more...)
	}
	programtest.Fails(t, newCommand, map[string]programtest.Start{
		"no identity":           {Args: nil, Want: `"cluster-domain", "cluster-uuid" not set`},
		"an empty UUID":         {Args: []string{"--cluster-domain=cluster-a.local", "--cluster-uuid="}, Want: "--cluster-uuid must not be empty"},
		"a domain in capitals":  {Args: []string{"--cluster-domain=Cluster", "--cluster-uuid=uuid-a"}, Want: "--cluster-domain: trust domain"},
		"no namespace":          {Args: with("--namespace="), Want: "--namespace must not be empty"},
		"an unknown log level":  {Args: with("--log-level=loud"), Want: "unknown name"},
		"a key that signs":      {Args: with("--authn-dir=/etc"), Want: "unknown flag: --authn-dir"},
		"an extra argument":     {Args: with("serve"), Want: `unknown command "serve"`},
		"an unknown kind":       {Args: with("--watch-kinds=IstioFederation,Istio"), Want: `--watch-kinds: "Istio" is not one of`},
		"a missing certificate": {Args: with("--tls-dir=" + t.TempDir()), Want: "read the TLS certificate"},
	})
}

func TestTheFlagsAreTheDocumentedOnes(t *testing.T) {
	programtest.HasFlags(t, newCommand(), "listen-address", "telemetry-address", "namespace", "cluster-domain", "cluster-uuid", "tls-dir",
		"ingress-client-ca", "watch-kinds", "log-level")
}

func TestTheExporterHasNoClientsItDoesNotUse(t *testing.T) {
	programtest.LinksNone(t, programtest.ManyClients()...)
}

// TestTheExporterHasNothingThatAsksPeersOrWrites: what faces the internet cannot do what it does not contain.
func TestTheExporterHasNothingThatAsksPeersOrWrites(t *testing.T) {
	programtest.LinksNone(t, "github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/watcher", "k8s.io/client-go/dynamic")
}
