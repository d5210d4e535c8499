package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestInvalidFlagsKeepTheProxyFromStarting gives each mistake a person can make in the
// Deployment and looks for the words that name it.
func TestInvalidFlagsKeepTheProxyFromStarting(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	write := func(user string) {
		if err := os.WriteFile(kubeconfig, []byte(`
apiVersion: v1
kind: Config
current-context: lab
contexts: [{name: lab, context: {cluster: lab, user: lab}}]
clusters: [{name: lab, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: lab, user: {`+user+`}}]
`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("KUBECONFIG", kubeconfig)
	identity := "--cluster-uuid=uuid-a"

	for name, test := range map[string]struct {
		args []string
		user string
		want string
	}{
		"no identity":            {nil, "", `"cluster-uuid" not set`},
		"an empty UUID":          {[]string{"--cluster-uuid="}, "", "--cluster-uuid must not be empty"},
		"no namespace":           {[]string{identity, "--namespace="}, "", "--namespace must not be empty"},
		"no room for anyone":     {[]string{identity, "--max-watches-per-peer=0"}, "", "--max-watches-per-peer must be at least 1"},
		"an unknown log level":   {[]string{identity, "--log-level=loud"}, "", "unknown name"},
		"an argument too much":   {[]string{identity, "serve"}, "", `unknown command "serve"`},
		"a token file not there": {[]string{identity}, `tokenFile: "/nowhere/token"`, "/nowhere/token"},
		"no TLS certificate":     {[]string{identity, "--tls-dir=" + t.TempDir()}, "", "read the TLS certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			write(test.user)
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
		"listen-address", "telemetry-address", "namespace", "cluster-uuid", "tls-dir", "ingress-client-ca",
		"max-requests-per-peer", "max-watches-per-peer", "max-connections", "log-level",
	} {
		if flag := flags.Lookup(name); flag == nil || flag.Usage == "" {
			t.Errorf("--%s is missing or not described", name)
		}
	}
}
