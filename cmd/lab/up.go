package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/klog/v2"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
	"github.com/deckhouse-mesh/istio/lib/names"
)

type upFlags struct {
	clusters   int
	stateDir   string
	mode       string
	settings   string
	root       string
	detach     bool
	background bool

	// nodes of each cluster.
	nodes   int
	network string
	images  string
	bare    bool
	// bundle runs the module from the folder that Deckhouse unpacks.
	bundle bool
	// moduleName is that of the module in the bundle.
	moduleName string
	// withoutModule leaves clusters as they are before anybody installs anything.
	withoutModule bool
}

func newUpCommand() *cobra.Command {
	var flags upFlags
	command := &cobra.Command{
		Use:   "up",
		Short: "Start clusters and join them; runs until Ctrl-C, or in the background with --detach",
		Args:  noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			return up(command.Context(), flags, command.OutOrStdout())
		},
	}
	addStateDir(command, &flags.stateDir)
	set := command.Flags()
	set.IntVar(&flags.clusters, "clusters", 2, "how many clusters to start: cluster-a, cluster-b, …")
	set.StringVar(&flags.mode, "mode", string(plan.Federation), "how to join them: federation, multicluster (one mesh), or mixed (the last one is federated with the first, which is one mesh with the others)")
	flags.addCommon(set)
	set.BoolVar(&flags.detach, "detach", false, "return when all is up and leave the lab running in the background")
	set.BoolVar(&flags.background, "background", false, "be the background process of --detach")
	set.StringVar(&flags.network, "network", "", "flat: Pod ranges are routed between clusters (default for multicluster); separate: they are not (default otherwise)")
	set.BoolVar(&flags.bare, "bare", false, "leave out all that needs images: Ready nodes with nothing on them")
	set.BoolVar(&flags.withoutModule, "without-module", false, "install nothing in the clusters, and join none")
	_ = set.MarkHidden("background")
	_ = set.MarkHidden("bare")
	return command
}

// addCommon adds what all commands that start a lab have.
func (f *upFlags) addCommon(set *pflag.FlagSet) {
	set.IntVar(&f.nodes, "nodes", 1, "nodes of each cluster")
	set.StringVar(&f.settings, "settings", "", "YAML file with spec.settings of the module's ModuleConfig, for every cluster")
	set.StringVar(&f.root, "root", "", "folder of the project (default: the parent of the folder that holds this program)")
	set.BoolVar(&f.bundle, "bundle", false, "run the module from what `make bundle` has left, as Deckhouse does: hooks are processes, none is linked into the operator")
	set.StringVar(&f.moduleName, "module", names.Embedded, "with --bundle: `name` of the module and of its ModuleConfig, as given to `make bundle MODULE=`")
	set.StringVar(&f.images, "images", "", "folder of the images, an OCI layout (default: .cache/images of the project)")
}

func makeStateDir(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the state dir: %w", err)
	}
	return resolve(dir)
}

// logLibraries sends what the Kubernetes libraries log to a file: a person
// wants the progress only.
func logLibraries(dir string) (close func(), err error) {
	file, err := os.OpenFile(filepath.Join(dir, "lab-debug.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of the lab's libraries: %w", err)
	}
	// klog has no other way to keep errors off the screen.
	settings := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(settings)
	if err := settings.Set("stderrthreshold", "FATAL"); err != nil {
		return nil, fmt.Errorf("set the log of the lab's libraries: %w", err)
	}
	klog.LogToStderr(false)
	klog.SetOutput(file)
	return func() {
		klog.Flush()
		_ = file.Close()
	}, nil
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q", args[0])}
	}
	return nil
}
