package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/lab"
)

func newNetworkCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "network",
		Short: "Cut a cluster off from the others, or end that",
		Long: `network cuts a cluster off from the others, and ends that. While it is cut off,
nothing passes and nothing is refused, as when routers drop packets: open
connections are silent, and new ones get no answer. What was under way arrives
when the network is back, unless an end has given up.

In a lab of mode federation clusters call each other by address. There, what
others ask of the cluster is cut, and what it asks of them is not.`,
	}
	command.AddCommand(newCutCommand("cut", "Cut a cluster off from the others", true), newCutCommand("restore", "Give a cluster its network back", false))
	return command
}

func newCutCommand(use, short string, cut bool) *cobra.Command {
	var dir, cluster string
	command := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			if cluster == "" {
				return usageError{errors.New("--cluster: name one, such as cluster-b")}
			}
			resolved, err := resolve(dir)
			if err != nil {
				return err
			}
			if err := lab.SetCut(command.Context(), resolved, cluster, cut); err != nil {
				return err
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "the network of %s is %s\n", cluster, map[bool]string{true: "cut", false: "restored"}[cut])
			return err
		},
	}
	addStateDir(command, &dir)
	command.Flags().StringVar(&cluster, "cluster", "", "name of the cluster")
	return command
}
