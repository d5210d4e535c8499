package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/fabricexec"
)

// exitCodeError is the exit code of a command that ran for this one.
type exitCodeError int

func (exitCodeError) Error() string { return "the command failed" }

func newExecCommand() *cobra.Command {
	var dir string
	command := &cobra.Command{
		Use:   "exec --state-dir DIR -- COMMAND…",
		Short: "Run a command in the fabric of a lab, outside all clusters",
		Long: `exec runs a command in the fabric: public names resolve there, LoadBalancer
addresses, nodes and API servers answer. LAB_ADDRESS in the command's environment
is an address of the fabric itself, for servers that Pods are to reach; names
below host.lab lead to it. The command ends with this one.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("name a command to run, after --")}
			}
			code, err := fabricexec.Run(dir, args)
			if err == nil && code != 0 {
				err = exitCodeError(code)
			}
			return err
		},
	}
	addStateDir(command, &dir)
	return command
}
