package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/control"
)

func newNodeCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "node",
		Short: "Stop a node of a lab as a power cut would, start it, or restart it",
		Long: `node stops a node as a power cut would, and starts it again: its disk is as it
was, all else is gone. To cordon and drain nodes, use kubectl.`,
	}
	command.AddCommand(
		newNodeChange("stop", "Stop a node as a power cut would", "stopped", false),
		newNodeChange("start", "Start a node that was stopped", "started", true),
		newNodeChange("restart", "Stop a node as a power cut would, and start it again", "restarted", false, true),
	)
	return command
}

// newNodeChange makes a command that lets the node run or not, in that order.
func newNodeChange(use, short, done string, runs ...bool) *cobra.Command {
	var dir string
	command := &cobra.Command{
		Use:   use + " NODE",
		Short: short,
		RunE: func(command *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("name a node, such as cluster-a-1")}
			}
			for _, run := range runs {
				if err := control.SetNode(command.Context(), dir, control.NodeRequest{Name: args[0], Run: run}); err != nil {
					return err
				}
			}
			_, err := fmt.Fprintf(command.OutOrStdout(), "node %s has been %s\n", args[0], done)
			return err
		},
	}
	addStateDir(command, &dir)
	return command
}
