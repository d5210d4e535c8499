package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/preflight"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/progress"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/registry"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/testbed"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// plan of a lab of real nodes.
func (f upFlags) plan() (*plan.Lab, error) {
	mode, err := plan.ParseMode(f.mode)
	if err != nil {
		return nil, usageError{fmt.Errorf("--mode: %w", err)}
	}
	network, err := plan.ParseNetwork(f.network)
	if err != nil {
		return nil, usageError{fmt.Errorf("--network: %w", err)}
	}
	planned, err := plan.New(plan.Options{Clusters: f.clusters, Nodes: f.nodes, Mode: mode, Network: network})
	if err != nil {
		return nil, usageError{err}
	}
	return planned, nil
}

// checkModule rejects a name that no operator of the lab has.
func (f upFlags) checkModule() error {
	if f.moduleName != names.Embedded && !f.bundle {
		return usageError{fmt.Errorf("--module %s: only a bundle has another name than %s: add --bundle", f.moduleName, names.Embedded)}
	}
	return nil
}

// prepare checks the flags and the machine, and finds what the lab needs.
func (f upFlags) prepare(ctx context.Context, out io.Writer) (testbed.Options, error) {
	planned, err := f.plan()
	if err == nil {
		err = f.checkModule()
	}
	if err != nil {
		return testbed.Options{}, err
	}
	useSystemPrograms()
	reporter := progress.NewReporter(out)
	if os.Geteuid() != 0 { // which makes nothing, and the folder may be root's
		return testbed.Options{}, f.checkMachine(ctx, f.stateDir, reporter.Printf)
	}
	dir, err := makeStateDir(f.stateDir)
	if err != nil {
		return testbed.Options{}, err
	}
	if err := f.checkMachine(ctx, dir, reporter.Printf); err != nil {
		return testbed.Options{}, err
	}
	options, err := f.testbedOptions(planned, dir)
	options.Reporter = reporter
	return options, err
}

// testbedOptions of a lab of real nodes in the state dir.
func (f upFlags) testbedOptions(planned *plan.Lab, dir string) (testbed.Options, error) {
	root, err := projectRoot(f.root)
	if err != nil {
		return testbed.Options{}, err
	}
	tools, err := toolsFolder(f.root)
	if err != nil {
		return testbed.Options{}, err
	}
	binaries, err := testbed.FindBinaries(tools)
	if err != nil {
		return testbed.Options{}, err
	}
	images, err := f.imageRegistry(root, dir)
	if err != nil {
		return testbed.Options{}, err
	}
	module, err := f.module(root)
	if err != nil {
		return testbed.Options{}, err
	}
	return testbed.Options{Plan: planned, StateDir: dir, Binaries: binaries, Registry: images, Bare: f.bare, Module: module}, nil
}

// imageRegistry has the images that a person puts into the lab, and those that were built.
func (f upFlags) imageRegistry(root, stateDir string) (http.Handler, error) {
	if f.bare {
		return nil, nil //nolint:nilnil // nothing on the nodes needs images
	}
	built := f.imagesIn(root)
	if _, err := os.Stat(filepath.Join(built, "index.json")); err != nil {
		return nil, fmt.Errorf("no images in %s: run `make images`", built)
	}
	layouts := []string{filepath.Join(stateDir, "images"), built}
	if f.bundle {
		bundled, err := f.bundledImages(root)
		if err != nil {
			return nil, err
		}
		layouts = append(layouts, bundled)
	}
	return registry.New(layouts...)
}

// bundledImages is the folder of images that `make bundle` has left for a module of the name.
func (f upFlags) bundledImages(root string) (string, error) {
	folder, command := "bundle", "make bundle"
	if f.moduleName != names.Embedded {
		folder, command = "bundle-"+f.moduleName, "make bundle MODULE="+f.moduleName
	}
	images := filepath.Join(root, ".cache", folder, "images")
	if _, err := os.Stat(filepath.Join(images, "index.json")); err != nil {
		return "", fmt.Errorf("no bundle of the module %s in %s: run `%s`", f.moduleName, images, command)
	}
	return images, nil
}

// toolsFolder is where `make tools` leaves programs.
func toolsFolder(root string) (string, error) {
	root, err := projectRoot(root)
	return filepath.Join(root, ".cache", "tools"), err
}

// imagesIn is the folder of the images that were built.
func (f upFlags) imagesIn(root string) string {
	if f.images != "" {
		return f.images
	}
	return filepath.Join(root, ".cache", "images")
}

// stockEnvoy reports whether the images were made for an Envoy without Istio's
// extensions: then istiod's image switches off what it would configure of them.
func stockEnvoy(images string) (bool, error) {
	environment, err := registry.Environment(images, "docker.io/istio/pilot:"+istioversion.Default().ModuleFull())
	if err != nil {
		return false, fmt.Errorf("find out which Envoy the images have: %w", err)
	}
	return slices.Contains(environment, "PILOT_ENABLE_ALPN_FILTER=false"), nil
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

// The operator's images, as `make images` and `make bundle` call them.
const (
	operatorImage        = "ghcr.io/deckhouse-mesh/istio/operator:dev"
	bundledOperatorImage = "ghcr.io/deckhouse-mesh/istio/operator:bundle"
)

// module to install, with the person's settings.
func (f upFlags) module(root string) (*testbed.Module, error) {
	if f.bare || f.withoutModule {
		return nil, nil //nolint:nilnil // none is wanted
	}
	stock, err := stockEnvoy(f.imagesIn(root))
	if err != nil {
		return nil, err
	}
	module := &testbed.Module{Name: f.moduleName, OperatorImage: operatorImage, StockEnvoy: stock}
	if f.bundle {
		module.OperatorImage, module.HooksAreProcesses = bundledOperatorImage, true
	}
	if f.settings != "" {
		if module.Settings, err = os.ReadFile(f.settings); err != nil {
			return nil, usageError{fmt.Errorf("--settings: %w", err)}
		}
	}
	return module, nil
}

// useSystemPrograms finds programs of the administrator where not everybody's PATH looks.
func useSystemPrograms() {
	_ = os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
}

// checkMachine says what this machine lacks for the lab.
func (f upFlags) checkMachine(ctx context.Context, stateDir string, print func(format string, args ...any)) error {
	findings, raised := preflight.Check(ctx, preflight.Needs{StateDir: stateDir, Clusters: f.clusters, Nodes: f.nodes})
	for _, limit := range raised {
		print("%s", limit)
	}
	return preflight.Error(findings)
}

func up(ctx context.Context, flags upFlags, out io.Writer) error {
	options, err := flags.prepare(ctx, out)
	if err != nil {
		return err
	}
	if flags.detach {
		return detach(ctx, options.StateDir, out)
	}
	ready := func() {}
	if flags.background {
		pipe := testbed.OpenBackground()
		options.Reporter, ready = progress.NewReporter(io.MultiWriter(out, pipe)), pipe.Ready
	}
	return runTestbed(ctx, options, func(ctx context.Context, running *testbed.Lab) error {
		printHints(options, flags, running.State())
		ready()
		<-ctx.Done()
		options.Reporter.Printf("stopping the lab")
		return nil
	})
}

func printHints(options testbed.Options, flags upFlags, described state.Lab) {
	print := options.Reporter.Printf
	print("")
	if tools, err := toolsFolder(flags.root); err == nil {
		if _, err := exec.LookPath("kubectl"); err != nil {
			print("alias kubectl=%s   # this machine has none", filepath.Join(tools, "kube", "kubectl"))
		}
	}
	for _, cluster := range described.Clusters {
		print("export KUBECONFIG=%s   # %s", cluster.Kubeconfig, cluster.Name)
	}
	stop := "Ctrl-C, or "
	if flags.background {
		stop = ""
	}
	print("`lab status --state-dir %s` shows its state; %s`lab down --state-dir %s` stops it.", options.StateDir, stop, options.StateDir)
}

func detach(ctx context.Context, dir string, out io.Writer) error {
	if pid, err := state.Holder(dir); err != nil {
		return err
	} else if pid != 0 {
		return &state.HeldError{Dir: dir, PID: pid}
	}
	// The last one of a flag counts.
	args := slices.Concat(os.Args[1:], []string{"--detach=false", "--background", "--state-dir", dir})
	return testbed.Detach(ctx, dir, args, out)
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
