package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"k8s.io/klog/v2"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/lab"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/progress"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

type upFlags struct {
	clusters   int
	stateDir   string
	mode       string
	settings   string
	root       string
	detach     bool
	background bool

	// nodes of each cluster; 0 for a lab of processes.
	nodes   int
	network string
	images  string
	bare    bool
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
			if flags.nodes > 0 {
				return upTestbed(command.Context(), flags, command.OutOrStdout())
			}
			return up(command.Context(), flags, command.OutOrStdout())
		},
	}
	addStateDir(command, &flags.stateDir)
	set := command.Flags()
	set.IntVar(&flags.clusters, "clusters", 2, "how many clusters to start: cluster-a, cluster-b, …")
	set.StringVar(&flags.mode, "mode", string(lab.Federation), "how to join them: federation, multicluster (one mesh), or mixed (the last one is federated with the first, which is one mesh with the others)")
	set.StringVar(&flags.settings, "settings", "", "YAML file with spec.settings of the ModuleConfig istio, for every cluster")
	set.StringVar(&flags.root, "root", "", "folder of the project (default: the parent of the folder that holds this program)")
	set.BoolVar(&flags.detach, "detach", false, "return when all is up and leave the lab running in the background")
	set.BoolVar(&flags.background, "background", false, "be the background process of --detach")
	set.IntVar(&flags.nodes, "nodes", 0, "real nodes of each cluster (root); 0 for a lab of processes")
	set.StringVar(&flags.network, "network", "", "flat: Pod ranges are routed between clusters (default for multicluster); separate: they are not (default otherwise)")
	set.StringVar(&flags.images, "images", "", "folder of the images, an OCI layout (default: .cache/images of the project)")
	set.BoolVar(&flags.bare, "bare", false, "leave out all that needs images: Ready nodes with nothing on them")
	set.BoolVar(&flags.withoutModule, "without-module", false, "install nothing in the clusters, and join none")
	_ = set.MarkHidden("background")
	_ = set.MarkHidden("bare")
	return command
}

func up(ctx context.Context, flags upFlags, out io.Writer) error {
	options, err := flags.options()
	if err != nil {
		return err
	}
	if flags.detach {
		return detach(ctx, options, out)
	}
	stop := "Ctrl-C, or "
	if flags.background {
		stop = ""
	}
	hints := func(labState state.Lab) {
		options.Reporter.Printf("")
		for _, cluster := range labState.Clusters {
			options.Reporter.Printf("export KUBECONFIG=%s   # %s", cluster.Kubeconfig, cluster.Name)
		}
		options.Reporter.Printf("`lab status --state-dir %s` tells how it is; %s`lab down --state-dir %s` stops it.", options.StateDir, stop, options.StateDir)
	}
	ready := hints
	report := out
	if flags.background {
		pipe := lab.OpenBackground()
		report = io.MultiWriter(out, pipe)
		ready = func(labState state.Lab) {
			hints(labState)
			pipe.Ready()
		}
	}
	options.Reporter = progress.NewReporter(report)
	return run(ctx, options, func(ctx context.Context, labState state.Lab) error {
		ready(labState)
		<-ctx.Done()
		options.Reporter.Printf("stopping the lab")
		return nil
	})
}

func (f upFlags) options() (lab.Options, error) {
	mode, err := lab.ParseMode(f.mode)
	if err != nil {
		return lab.Options{}, usageError{fmt.Errorf("--mode: %w", err)}
	}
	if err := mode.CheckSize(f.clusters); err != nil {
		return lab.Options{}, usageError{fmt.Errorf("--clusters: %w", err)}
	}
	if f.settings != "" {
		if f.settings, err = filepath.Abs(f.settings); err != nil {
			return lab.Options{}, fmt.Errorf("find the settings: %w", err)
		}
		if _, err := os.Stat(f.settings); err != nil {
			return lab.Options{}, usageError{fmt.Errorf("--settings: %w", err)}
		}
	}
	layout, err := lab.FindLayout(f.root)
	if err != nil {
		return lab.Options{}, err
	}
	dir, err := makeStateDir(f.stateDir)
	if err != nil {
		return lab.Options{}, err
	}
	return lab.Options{Layout: layout, StateDir: dir, Clusters: f.clusters, Mode: mode, SettingsFile: f.settings}, nil
}

func makeStateDir(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the state dir: %w", err)
	}
	return resolve(dir)
}

func detach(ctx context.Context, options lab.Options, out io.Writer) error {
	if pid, err := state.Holder(options.StateDir); err != nil {
		return err
	} else if pid != 0 {
		return &state.HeldError{Dir: options.StateDir, PID: pid}
	}
	args := []string{
		"up", "--background", "--state-dir", options.StateDir, "--clusters", strconv.Itoa(options.Clusters),
		"--mode", string(options.Mode), "--root", options.Layout.Root,
	}
	if options.SettingsFile != "" {
		args = append(args, "--settings", options.SettingsFile)
	}
	return lab.Detach(ctx, options.StateDir, args, out)
}

// run runs the lab and reports why when it fails.
func run(ctx context.Context, options lab.Options, use func(context.Context, state.Lab) error) error {
	close, err := logLibraries(options.StateDir)
	if err != nil {
		return err
	}
	defer close()
	err = lab.Run(ctx, options, use)
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), errInterrupted):
		options.Reporter.Printf("interrupted before it was done; the lab has stopped")
		return errInterrupted
	}
	options.Reporter.Failure(err)
	return reported{err}
}

// logLibraries sends what the Kubernetes libraries log to a file: a person
// wants the progress only.
func logLibraries(dir string) (close func(), err error) {
	file, err := os.OpenFile(filepath.Join(dir, "lab-debug.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of the lab's libraries: %w", err)
	}
	// klog has no other way to be told that errors are not for the screen either.
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
