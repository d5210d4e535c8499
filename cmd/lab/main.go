// Command lab runs Kubernetes clusters of real nodes on one machine, each with
// the module installed and joined to the others: for demonstrations, for
// end-to-end tests, and to try the module without a cluster.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/cleaner"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/fabricexec"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/node"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/preflight"
)

// Exit codes.
const (
	exitFailure     = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// usageError is a mistake in how the command was called.
type usageError struct{ error }

// reported is an error that the person has read already.
type reported struct{ error }

// errInterrupted is what a person's Ctrl-C, or SIGTERM, ends an unfinished command with.
var errInterrupted = errors.New("interrupted")

func main() {
	// Processes of a lab that are this program under another name.
	if node.Main(os.Args) || cleaner.Main(os.Args) || preflight.Main(os.Args) || fabricexec.Main(os.Args) {
		return
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-signals
		cancel(errInterrupted)
	}()
	os.Exit(exitCode(newCommand().ExecuteContext(ctx)))
}

func exitCode(err error) int {
	var usage usageError
	var known reported
	var code exitCodeError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		return exitUsage
	case !errors.As(err, &known):
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
	}
	return exitFailure
}

func newCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "lab",
		Short: "Kubernetes clusters of real nodes on this machine, with the module in each",
		Long: `lab starts Kubernetes clusters whose nodes are Linux namespaces of this machine, with
containerd, kubelet and kube-proxy in each, installs the module in every cluster and
joins it to every other. It needs root, and no container engine.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	command.AddCommand(newUpCommand(), newStatusCommand(), newDownCommand(), newDemoCommand(),
		newImageCommand(), newExecCommand(), newLinkCommand(), newNodeCommand(), newCollectCommand())
	return command
}

// addStateDir gives the command its --state-dir, the same path for every command that gets the same folder.
func addStateDir(command *cobra.Command, dir *string) {
	command.PreRunE = func(*cobra.Command, []string) (err error) {
		*dir, err = resolve(*dir)
		return err
	}
	command.Flags().StringVar(dir, "state-dir", filepath.Join(".cache", "lab"), "folder of the lab: its clusters' kubeconfigs, data, logs, and lab.json")
}

func resolve(dir string) (string, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the state dir: %w", err)
	}
	if followed, err := filepath.EvalSymlinks(absolute); err == nil {
		return followed, nil
	}
	return absolute, nil
}
