package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInvalidFlagsKeepTheExporterFromStarting gives each mistake a person can make
// in the Deployment and looks for the words that name it.
func TestInvalidFlagsKeepTheExporterFromStarting(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(`
apiVersion: v1
kind: Config
current-context: lab
contexts: [{name: lab, context: {cluster: lab, user: lab}}]
clusters: [{name: lab, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: lab, user: {}}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", kubeconfig)
	identity := []string{"--cluster-domain=cluster-a.local", "--cluster-uuid=uuid-a"}

	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no identity":          {nil, `"cluster-domain", "cluster-uuid" not set`},
		"an empty UUID":        {[]string{"--cluster-domain=cluster-a.local", "--cluster-uuid="}, "--cluster-uuid must not be empty"},
		"a domain in capitals": {[]string{"--cluster-domain=Cluster", "--cluster-uuid=uuid-a"}, "--cluster-domain: trust domain"},
		"an unknown log level": {append(identity, "--log-level=loud"), "unknown name"},
		"an argument too much": {append(identity, "serve"), `unknown command "serve"`},
		"an unknown kind":      {append(identity, "--watch-kinds=IstioFederation,Istio"), `--watch-kinds: "Istio" is not one of`},
		"no TLS certificate":   {append(identity, "--tls-dir="+t.TempDir()), "read the TLS certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			command := newCommand()
			command.SetArgs(test.args)
			ctx, cancel := context.WithCancel(context.Background())
			cancel() // whatever starts after all must end
			if err := command.ExecuteContext(ctx); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestTheFlagsAreTheDocumentedOnes(t *testing.T) {
	flags := newCommand().Flags()
	for _, name := range []string{
		"listen-address", "telemetry-address", "namespace", "cluster-domain", "cluster-uuid",
		"authn-dir", "tls-dir", "client-certificate-dir", "ingress-client-ca", "watch-peers", "watch-kinds", "log-level",
	} {
		if flag := flags.Lookup(name); flag == nil || flag.Usage == "" {
			t.Errorf("--%s is missing or not described", name)
		}
	}
	if got := flags.Lookup("watch-peers").DefValue; got != "true" {
		t.Errorf("--watch-peers is %s by default", got)
	}
}
