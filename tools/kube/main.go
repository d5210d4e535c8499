// Command kube is Kubernetes in one binary, compiled from its own Go modules:
// etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet,
// kube-proxy and kubectl. The name it is called by (or its first argument)
// selects the program, so links of these names behave like the originals.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kubeproxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// Each runs a program with its arguments, its name first, and returns its exit code.
var programs = map[string]func(args []string) int{
	"etcd": func(args []string) int { etcdmain.Main(args); return 0 },
	"kube-apiserver": func(args []string) int {
		return run(apiserver.NewAPIServerCommand(), args)
	},
	"kube-controller-manager": func(args []string) int {
		return run(controllermanager.NewControllerManagerCommand(), args)
	},
	"kube-scheduler": func(args []string) int { return run(scheduler.NewSchedulerCommand(), args) },
	"kubelet":        runKubelet,
	"kube-proxy":     func(args []string) int { return run(kubeproxy.NewProxyCommand(), args) },
	"kubectl":        runKubectl,
}

func run(command *cobra.Command, args []string) int {
	os.Args = args
	return cli.Run(command)
}

func runKubelet(args []string) int {
	os.Args = args
	// The command itself listens for signals, which can be done but once.
	return cli.Run(kubelet.NewKubeletCommand(context.Background()))
}

func runKubectl(args []string) int {
	os.Args = args
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
	return 0
}

func main() {
	args := slices.Clone(os.Args)
	args[0] = filepath.Base(args[0])
	if run, ok := programs[args[0]]; ok {
		os.Exit(run(args))
	}
	if len(args) > 1 {
		if run, ok := programs[args[1]]; ok {
			os.Exit(run(args[1:]))
		}
	}
	names := slices.Sorted(maps.Keys(programs))
	fmt.Fprintf(os.Stderr, "usage: %s %s [flags]\n", args[0], strings.Join(names, "|"))
	os.Exit(2)
}
