package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/report"
)

func newStatusCommand() *cobra.Command {
	var dir, output string
	command := &cobra.Command{
		Use:   "status",
		Short: "Show a lab's clusters, processes and federations, and what is wrong with them",
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			if output != "" && output != "json" {
				return usageError{fmt.Errorf("--output: %q is not known: use json, or leave it out", output)}
			}
			lab, err := report.New(command.Context(), dir)
			if err != nil {
				return err
			}
			if output == "json" {
				encoder := json.NewEncoder(command.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(lab)
			}
			return lab.Print(command.OutOrStdout(), time.Now())
		},
	}
	addStateDir(command, &dir)
	command.Flags().StringVarP(&output, "output", "o", "", "json for a machine-readable report")
	return command
}
