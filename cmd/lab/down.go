package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/cleaner"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/testbed"
)

func newDownCommand() *cobra.Command {
	var dir string
	command := &cobra.Command{
		Use:   "down",
		Short: "Stop a lab and wait until none of its processes is left",
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			pid, err := testbed.Down(command.Context(), dir)
			if err != nil {
				return err
			}
			if err := cleaner.Await(command.Context(), dir); err != nil {
				return err
			}
			if pid == 0 {
				_, err = fmt.Fprintf(command.OutOrStdout(), "no lab is running in %s\n", dir)
				return err
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "the lab in %s (pid %d) has stopped\n", dir, pid)
			return err
		},
	}
	addStateDir(command, &dir)
	return command
}
