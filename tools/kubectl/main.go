// Command kubectl is kubectl with its command proxy only, for the benchmark
// that compares it with the API proxy.
package main

import (
	"os"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd/proxy"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	config := genericclioptions.NewConfigFlags(true)
	command := &cobra.Command{Use: "kubectl", Short: "kubectl proxy, and nothing else of kubectl"}
	config.AddFlags(command.PersistentFlags())
	command.AddCommand(proxy.NewCmdProxy(util.NewFactory(config), streams))
	os.Exit(cli.Run(command))
}
