package main

import (
	"testing"

	"github.com/deckhouse-mesh/istio/test/support/programtest"
)

func TestInvalidFlagsKeepTheProgramFromStarting(t *testing.T) {
	with := func(flag string) []string { return []string{"--cluster-uuid=uuid-a", "--pod-name=pod", flag} }
	programtest.Fails(t, newCommand, map[string]programtest.Start{
		"no identity":          {Args: []string{"--pod-name=pod"}, Want: `"cluster-uuid" not set`},
		"no name":              {Args: []string{"--cluster-uuid=uuid-a"}, Want: `"pod-name" not set`},
		"an empty name":        {Args: with("--pod-name="), Want: "--pod-name must not be empty"},
		"no namespace":         {Args: with("--namespace="), Want: "--namespace must not be empty"},
		"an extra argument":    {Args: with("serve"), Want: `unknown command "serve"`},
		"an address of others": {Args: with("--listen-address=192.0.2.1:80"), Want: "listen for calls of peers"},
		"a missing token file": {Args: with("--log-level=info"), User: `tokenFile: "/nowhere/token"`, Want: "/nowhere/token"},
	})
}

func TestTheFlagsAreTheDocumentedOnes(t *testing.T) {
	programtest.HasFlags(t, newCommand(), "listen-address", "telemetry-address", "namespace", "cluster-uuid", "pod-name", "mesh-socket", "log-level")
}

func TestTheProgramHasNoClientsItDoesNotUse(t *testing.T) {
	programtest.LinksNone(t, programtest.ManyClients()...)
}
