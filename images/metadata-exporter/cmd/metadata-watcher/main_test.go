package main

import (
	"testing"

	"github.com/deckhouse-mesh/istio/test/support/programtest"
)

func TestInvalidFlagsKeepTheWatcherFromStarting(t *testing.T) {
	identity := "--cluster-uuid=uuid-a"
	programtest.Fails(t, newCommand, map[string]programtest.Start{
		"no identity":            {Args: nil, Want: `"cluster-uuid" not set`},
		"an empty UUID":          {Args: []string{"--cluster-uuid="}, Want: "--cluster-uuid must not be empty"},
		"no namespace":           {Args: []string{identity, "--namespace="}, Want: "--namespace must not be empty"},
		"an unknown log level":   {Args: []string{identity, "--log-level=loud"}, Want: "unknown name"},
		"an extra argument":      {Args: []string{identity, "watch"}, Want: `unknown command "watch"`},
		"an unknown kind":        {Args: []string{identity, "--watch-kinds=IstioFederation,Istio"}, Want: `--watch-kinds: "Istio" is not one of`},
		"a listener for peers":   {Args: []string{identity, "--listen-address=:8443"}, Want: "unknown flag: --listen-address"},
		"an occupied port":       {Args: []string{identity, "--telemetry-address=192.0.2.1:80"}, Want: "listen for probes and scrapes"},
		"an incomplete identity": {Args: []string{identity}, User: `tokenFile: "/nowhere/token"`, Want: "/nowhere/token"},
	})
}

func TestTheFlagsAreTheDocumentedOnes(t *testing.T) {
	programtest.HasFlags(t, newCommand(), "telemetry-address", "namespace", "cluster-uuid", "authn-dir", "client-certificate-dir", "watch-kinds", "log-level")
}

func TestTheWatcherHasNoClientsItDoesNotUse(t *testing.T) {
	programtest.LinksNone(t, programtest.ManyClients()...)
}
