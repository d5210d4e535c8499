package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/control"
)

func newLinkCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "link",
		Short: "Cut the link between two clusters, or mend it",
		Long: `link cuts the link between two clusters, and mends it. While it is cut, nothing
passes and nothing is rejected, as when routers drop packets: open connections are
silent, and new ones get no answer.`,
	}
	command.AddCommand(newLinkChange("cut", "Cut the link between two clusters", true), newLinkChange("mend", "Mend the link between two clusters", false))
	return command
}

func newLinkChange(use, short string, cut bool) *cobra.Command {
	var dir string
	command := &cobra.Command{
		Use:   use + " CLUSTER CLUSTER", //nolint:dupword // a link has two ends
		Short: short,
		RunE: func(command *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{errors.New("name two clusters, such as cluster-a cluster-b")}
			}
			if err := control.SetLink(command.Context(), dir, control.LinkRequest{Clusters: [2]string{args[0], args[1]}, Cut: cut}); err != nil {
				return err
			}
			_, err := fmt.Fprintf(command.OutOrStdout(), "the link between %s and %s is %s\n", args[0], args[1], map[bool]string{true: "cut", false: "mended"}[cut])
			return err
		},
	}
	addStateDir(command, &dir)
	return command
}
