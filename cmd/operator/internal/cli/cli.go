// Package cli is the operator's command line.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/cmd/operator/internal/operator"
	"github.com/deckhouse-mesh/istio/cmd/operator/internal/options"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// version is set at build time: -ldflags "-X …/internal/cli.version=v1.2.3".
var version string

const help = `Runs the istio module on a Kubernetes cluster without Deckhouse.

The module is switched on and set up with the ModuleConfig "istio", settings shared
by all modules with the ModuleConfig "global":

  kubectl apply -f - <<END
  apiVersion: deckhouse.io/v1alpha1
  kind: ModuleConfig
  metadata: {name: istio}
  spec: {enabled: true, version: 3, settings: {federation: {enabled: true}}}
  END

Settings that are not valid take no effect; the status of the ModuleConfig says why.

The mesh's identities (its CA, its keypair) are in Secrets of the namespace
d8-system, and https.customCertificate.secretName names a Secret there, whatever
--namespace says; the operator makes that namespace, too.

Exit codes: 0 stopped by SIGTERM or SIGINT, 1 failed or lost the leadership, 2 wrong flags.`

// usageError is a mistake on the command line.
type usageError struct{ error }

// Execute runs the command line args and returns the exit code. hooks are those
// linked into the program, nil where the module's folder has them as a binary.
func Execute(args []string, hooks operator.Hooks) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)

	root := rootCommand(hooks)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "Error: %v\nSee --help.\n", err)
		return exitUsage
	default:
		fmt.Fprintf(os.Stderr, "Error: %v\n", err)
		return exitFailure
	}
}

func rootCommand(hooks operator.Hooks) *cobra.Command {
	opts := options.Default(executable())
	run := func(command *cobra.Command, _ []string) error {
		if err := opts.Complete(); err != nil {
			return usageError{err}
		}
		return operator.Run(command.Context(), opts, hooks, buildVersion())
	}
	noArgs := func(command *cobra.Command, args []string) error {
		if err := cobra.NoArgs(command, args); err != nil {
			return usageError{err}
		}
		return nil
	}

	root := &cobra.Command{
		Use: "operator", Short: "Run the istio module without Deckhouse", Long: help,
		Args: noArgs, RunE: run, SilenceErrors: true, SilenceUsage: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.DisableDefaultCmd = true
	opts.Bind(root.PersistentFlags())
	root.AddCommand(
		&cobra.Command{Use: "start", Short: "Run the operator (what happens without a command)", Args: noArgs, RunE: run},
		readyCommand(),
		&cobra.Command{Use: "version", Short: "Print the version", Args: noArgs, Run: func(command *cobra.Command, _ []string) {
			fmt.Fprintln(command.OutOrStdout(), buildVersion())
		}},
	)
	return root
}

func executable() string {
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	return path
}

// buildVersion returns the version set at build time, else the one Go recorded.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
