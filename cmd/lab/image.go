package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/registry"
)

func newImageCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "image",
		Short: "Images of your own for the lab's clusters",
		Args:  noArguments,
	}
	command.AddCommand(newImageLoadCommand())
	return command
}

func newImageLoadCommand() *cobra.Command {
	var dir string
	command := &cobra.Command{
		Use:   "load REFERENCE FILE",
		Short: "Put an image into the lab, so that Pods can name it",
		Long: `Puts the image of FILE into the lab's registry under REFERENCE, for example

  docker save me/app:1 -o app.tar
  lab image load me/app:1 app.tar

FILE holds one image: what docker save, podman save or crane pull writes, or an OCI
layout as a tarball or a folder. The lab may be running or not. A node that has an
image of that reference already pulls the new one only with imagePullPolicy: Always.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{fmt.Errorf("lab image load takes a reference and a file, not %d arguments", len(args))}
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			reference, digest, err := registry.Load(filepath.Join(dir, "images"), args[0], args[1])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "%s (%s)\n", reference, digest)
			return err
		},
	}
	addStateDir(command, &dir)
	return command
}
