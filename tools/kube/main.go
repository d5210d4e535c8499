// Command kube is the control plane of one lab cluster in one binary: etcd,
// kube-apiserver and kube-controller-manager, compiled from their own Go
// modules. The name it is called by (or its first argument) selects the
// program, so links named etcd, kube-apiserver and kube-controller-manager
// behave like the originals.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

var programs = map[string]func(args []string) int{
	"etcd":                    func(args []string) int { etcdmain.Main(args); return 0 },
	"kube-apiserver":          func(args []string) int { return runCobra(apiserver.NewAPIServerCommand(), args) },
	"kube-controller-manager": func(args []string) int { return runCobra(controllermanager.NewControllerManagerCommand(), args) },
}

func runCobra(command *cobra.Command, args []string) int {
	os.Args = args
	return cli.Run(command)
}

func main() {
	args := os.Args
	args[0] = filepath.Base(args[0])
	if run, ok := programs[args[0]]; ok {
		os.Exit(run(args))
	}
	if len(args) > 1 {
		if run, ok := programs[args[1]]; ok {
			os.Exit(run(args[1:]))
		}
	}
	fmt.Fprintf(os.Stderr, "usage: %s etcd|kube-apiserver|kube-controller-manager [flags]\n", args[0])
	os.Exit(2)
}
