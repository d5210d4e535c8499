package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/evidence"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/testbed"
)

func newCollectCommand() *cobra.Command {
	var dir, root string
	command := &cobra.Command{
		Use:   "collect",
		Short: "Write what explains a failure to a folder: objects, events, Pod logs and nodes' logs",
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			described, err := state.Read(dir)
			if err != nil {
				return err
			}
			tools, err := toolsFolder(root)
			if err != nil {
				return err
			}
			binaries, err := testbed.FindBinaries(tools)
			if err != nil {
				return err
			}
			folder, err := evidence.Collect(command.Context(), dir, binaries["kubectl"], *described)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(command.OutOrStdout(), folder)
			return err
		},
	}
	addStateDir(command, &dir)
	command.Flags().StringVar(&root, "root", "", "folder of the project (default: the parent of the folder that holds this program)")
	return command
}
