package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/lab"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/progress"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/registry"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/testbed"
)

// testbedOptions of a lab of real nodes.
func (f upFlags) testbedOptions() (testbed.Options, error) {
	mode, err := plan.ParseMode(f.mode)
	if err != nil {
		return testbed.Options{}, usageError{fmt.Errorf("--mode: %w", err)}
	}
	network, err := plan.ParseNetwork(f.network)
	if err != nil {
		return testbed.Options{}, usageError{fmt.Errorf("--network: %w", err)}
	}
	planned, err := plan.New(plan.Options{Clusters: f.clusters, Nodes: f.nodes, Mode: mode, Network: network})
	if err != nil {
		return testbed.Options{}, usageError{err}
	}
	root, err := projectRoot(f.root)
	if err != nil {
		return testbed.Options{}, err
	}
	binaries, err := testbed.FindBinaries(filepath.Join(root, ".cache", "tools"))
	if err != nil {
		return testbed.Options{}, err
	}
	dir, err := makeStateDir(f.stateDir)
	if err != nil {
		return testbed.Options{}, err
	}
	images, err := f.imageRegistry(root, dir)
	if err != nil {
		return testbed.Options{}, err
	}
	return testbed.Options{Plan: planned, StateDir: dir, Binaries: binaries, Registry: images, Bare: f.bare}, nil
}

// imageRegistry has the images that were built, and those that a person puts into the lab.
func (f upFlags) imageRegistry(root, stateDir string) (http.Handler, error) {
	if f.bare {
		return nil, nil //nolint:nilnil // nothing on the nodes needs images
	}
	built := f.images
	if built == "" {
		built = filepath.Join(root, ".cache", "images")
	}
	if _, err := os.Stat(filepath.Join(built, "index.json")); err != nil {
		return nil, fmt.Errorf("no images in %s: run `make images`", built)
	}
	return registry.New(built, filepath.Join(stateDir, "images"))
}

// projectRoot is the given folder, or the parent of the one that holds this program.
func projectRoot(given string) (string, error) {
	if given != "" {
		return filepath.Abs(given)
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the project: %w", err)
	}
	return filepath.Dir(filepath.Dir(self)), nil
}

func upTestbed(ctx context.Context, flags upFlags, out io.Writer) error {
	options, err := flags.testbedOptions()
	if err != nil {
		return err
	}
	if flags.detach {
		return detachTestbed(ctx, flags, options.StateDir, out)
	}
	ready := func() {}
	if flags.background {
		pipe := lab.OpenBackground()
		out, ready = io.MultiWriter(out, pipe), pipe.Ready
	}
	options.Reporter = progress.NewReporter(out)
	return runTestbed(ctx, options, func(ctx context.Context, running *testbed.Lab) error {
		printHints(options, running.State(), flags.background)
		ready()
		<-ctx.Done()
		options.Reporter.Printf("stopping the lab")
		return nil
	})
}

func printHints(options testbed.Options, described state.Lab, background bool) {
	print := options.Reporter.Printf
	print("")
	for _, cluster := range described.Clusters {
		print("export KUBECONFIG=%s   # %s", cluster.Kubeconfig, cluster.Name)
	}
	stop := "Ctrl-C, or "
	if background {
		stop = ""
	}
	print("`lab status --state-dir %s` shows its state; %s`lab down --state-dir %s` stops it.", options.StateDir, stop, options.StateDir)
}

func detachTestbed(ctx context.Context, flags upFlags, dir string, out io.Writer) error {
	if pid, err := state.Holder(dir); err != nil {
		return err
	} else if pid != 0 {
		return &state.HeldError{Dir: dir, PID: pid}
	}
	args := []string{
		"up", "--background", "--state-dir", dir, "--clusters", strconv.Itoa(flags.clusters), "--nodes", strconv.Itoa(flags.nodes),
		"--mode", flags.mode, "--network", flags.network, "--root", flags.root, "--images", flags.images, "--bare=" + strconv.FormatBool(flags.bare),
	}
	return lab.Detach(ctx, dir, args, out)
}

// runTestbed runs a lab and reports why when it fails.
func runTestbed(ctx context.Context, options testbed.Options, use func(context.Context, *testbed.Lab) error) error {
	closeLog, err := logLibraries(options.StateDir)
	if err != nil {
		return err
	}
	defer closeLog()
	err = testbed.Run(ctx, options, use)
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
