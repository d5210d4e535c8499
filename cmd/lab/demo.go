package main

import (
	"context"
	"io"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/demo"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/testbed"
)

func newDemoCommand() *cobra.Command {
	var flags upFlags
	var once bool
	command := &cobra.Command{
		Use:   "demo",
		Short: "Start clusters, show a request that crosses two of them, and stay until Ctrl-C",
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			return runDemo(command.Context(), flags, once, command.OutOrStdout())
		},
	}
	addStateDir(command, &flags.stateDir)
	set := command.Flags()
	set.IntVar(&flags.clusters, "clusters", 2, "how many clusters to start")
	set.StringVar(&flags.mode, "mode", string(plan.Federation), "what to show: federation, or multicluster (one mesh)")
	flags.addCommon(set)
	set.BoolVar(&once, "once", false, "end when everything has been shown, instead of staying until Ctrl-C")
	return command
}

func runDemo(ctx context.Context, flags upFlags, once bool, out io.Writer) error {
	options, err := flags.prepare(ctx, out)
	if err != nil {
		return err
	}
	reporter := options.Reporter
	return runTestbed(ctx, options, func(ctx context.Context, running *testbed.Lab) error {
		if err := demo.Run(ctx, demo.Options{Lab: running.State(), Kubectl: kubectl(options), Print: reporter.Printf}); err != nil {
			return err
		}
		if once {
			return nil
		}
		reporter.Printf("")
		reporter.Printf("The clusters stay until Ctrl-C.")
		<-ctx.Done()
		reporter.Printf("stopping the lab")
		return nil
	})
}

// kubectl is how a person calls the program: by its name, or the one that was built with the nodes' programs.
func kubectl(options testbed.Options) string {
	const name = "kubectl"
	if _, err := exec.LookPath(name); err == nil {
		return name
	}
	return filepath.Join(filepath.Dir(options.Binaries[name]), name)
}
