package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/demo"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/progress"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/report"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

func newDemoCommand() *cobra.Command {
	var flags upFlags
	var once bool
	command := &cobra.Command{
		Use:   "demo",
		Short: "Start clusters, show a Service published in one appear in the other, and stay until Ctrl-C",
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			return runDemo(command.Context(), flags, once, command.OutOrStdout())
		},
	}
	addStateDir(command, &flags.stateDir)
	set := command.Flags()
	set.IntVar(&flags.clusters, "clusters", 2, "how many clusters to start")
	set.StringVar(&flags.settings, "settings", "", "YAML file with spec.settings of the ModuleConfig istio, for every cluster")
	set.StringVar(&flags.root, "root", "", "folder of the project (default: the parent of the folder that holds this program)")
	set.BoolVar(&once, "once", false, "end when everything has been shown, instead of staying until Ctrl-C")
	flags.mode = "federation"
	return command
}

func runDemo(ctx context.Context, flags upFlags, once bool, out io.Writer) error {
	options, err := flags.options()
	if err != nil {
		return err
	}
	options.Reporter = progress.NewReporter(out)
	print := options.Reporter.Printf
	return run(ctx, options, func(ctx context.Context, lab state.Lab) error {
		if err := demo.Run(ctx, lab, print); err != nil {
			return err
		}
		print("")
		status, err := report.New(ctx, options.StateDir)
		if err != nil {
			return err
		}
		if err := status.Print(out, time.Now()); err != nil {
			return err
		}
		print("")
		print("Look around:")
		for _, cluster := range lab.Clusters {
			print("  export KUBECONFIG=%s   # %s: kubectl get istiofederations; kubectl get serviceentries -A", cluster.Kubeconfig, cluster.Name)
		}
		if once {
			return nil
		}
		print("The clusters stay until Ctrl-C.")
		<-ctx.Done()
		print("stopping the lab")
		return nil
	})
}
