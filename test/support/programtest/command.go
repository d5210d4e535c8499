// Package programtest checks the commands of programs.
package programtest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Start is one way to start a program that must fail.
type Start struct {
	Args []string
	// User is the user of the kubeconfig, in YAML; empty for one without credentials.
	User string
	// Want is in the error.
	Want string
}

// Fails checks that a program that is started in these ways, by name, fails with the
// expected errors. Its API server does not exist.
func Fails(t *testing.T, newCommand func() *cobra.Command, starts map[string]Start) {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	t.Setenv("KUBECONFIG", kubeconfig)
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(kubeconfig, []byte(`
apiVersion: v1
kind: Config
current-context: lab
contexts: [{name: lab, context: {cluster: lab, user: lab}}]
clusters: [{name: lab, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: lab, user: {`+start.User+`}}]
`), 0o600); err != nil {
				t.Fatal(err)
			}
			command := newCommand()
			command.SetArgs(start.Args)
			ctx, cancel := context.WithCancel(context.Background())
			cancel() // a program that starts nevertheless must end
			if err := command.ExecuteContext(ctx); err == nil || !strings.Contains(err.Error(), start.Want) {
				t.Errorf("error %v, want one with %q", err, start.Want)
			}
		})
	}
}

// HasFlags checks that a command has those flags, with descriptions.
func HasFlags(t *testing.T, command *cobra.Command, names ...string) {
	t.Helper()
	for _, name := range names {
		if flag := command.Flags().Lookup(name); flag == nil || flag.Usage == "" {
			t.Errorf("--%s is missing or not described", name)
		}
	}
}
