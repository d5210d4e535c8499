// Package testbed is a lab as a whole: the fabric, its clusters, and what other
// processes ask of it while it runs.
package testbed

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/addons"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/cgroup"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/cleaner"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/cluster"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/evidence"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/fabric"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/fabricexec"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/progress"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/rollout"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

// addonsTimeout bounds the wait for DNS and the ingress controller.
const addonsTimeout = 3 * time.Minute

// Options of a lab.
type Options struct {
	Plan *plan.Lab
	// StateDir is where the lab keeps everything; an absolute path.
	StateDir string
	// Binaries are the programs of nodes; see FindBinaries.
	Binaries map[string]string
	// Registry answers for the images of all registries; nil for none.
	Registry http.Handler
	// Bare leaves out all that needs images: the clusters have Ready nodes and nothing on them.
	Bare bool
	// Module to install in the clusters; nil for none.
	Module   *Module
	Reporter *progress.Reporter
}

// Lab that runs.
type Lab struct {
	options Options
	groups  *cgroup.Tree
	fabric  *fabric.Fabric
	public  *pki.Authority
	members []*member
	file    *state.File
	ready   bool
	changes chan struct{}
}

// Run starts the lab, calls use once all of it is up, and when use returns, or
// the context ends, ends all of it.
func Run(ctx context.Context, options Options, use func(ctx context.Context, lab *Lab) error) (err error) {
	lock, err := state.Acquire(options.StateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	layout, err := cgroup.Find()
	if err != nil {
		return err
	}
	lab := &Lab{options: options, groups: cgroup.NewTree(layout, options.StateDir), changes: make(chan struct{}, 1)}
	cleaning, err := cleaner.Start(ctx, options.StateDir, lab.groups.Folders(""))
	if err != nil {
		return err
	}
	defer cleaning.Close()
	if err := clean(options.StateDir); err != nil {
		return err
	}
	running, cancel := context.WithCancel(ctx)
	defer func() {
		if err != nil && ctx.Err() == nil {
			lab.retain(ctx)
		}
		cancel()
		err = errors.Join(err, lab.stop())
	}()
	if err := lab.start(running); err != nil {
		return err
	}
	return use(running, lab)
}

// retain what explains a failure.
func (l *Lab) retain(ctx context.Context) {
	if l.file == nil {
		return // nothing had been started
	}
	folder, err := evidence.Collect(ctx, l.options.StateDir, l.options.Binaries["kubectl"], l.State())
	if err != nil {
		l.options.Reporter.Printf("%v", err)
	}
	if folder != "" {
		l.options.Reporter.Printf("objects, events, Pod logs and nodes' logs are retained in %s", folder)
	}
}

func (l *Lab) start(ctx context.Context) error {
	begun := time.Now()
	var err error
	if l.public, err = pki.NewAuthority("lab"); err != nil {
		return err
	}
	if err := state.WriteFile(l.PublicCA(), l.public.PEM, 0o644); err != nil {
		return err
	}
	if l.fabric, err = fabric.New(ctx, l.options.Plan); err != nil {
		return err
	}
	if err := l.fabric.ServeNames(ctx); err != nil {
		return err
	}
	if err := fabricexec.WriteFiles(l.options.StateDir, fabric.ResolvConf(plan.FabricAddress)); err != nil {
		return err
	}
	if err := l.serveImages(ctx); err != nil {
		return err
	}
	if err := l.prepareClusters(ctx); err != nil {
		return err
	}
	l.file = state.NewFile(l.options.StateDir)
	if err := l.refresh(); err != nil {
		return err
	}
	go l.keepDescribed(ctx)
	if err := l.serveControl(ctx); err != nil {
		return err
	}
	if err := l.startClusters(ctx); err != nil {
		return err
	}
	l.ready = true
	if err := l.refresh(); err != nil {
		return err
	}
	l.options.Reporter.Printf("lab ready: %d clusters (%.1fs)", len(l.members), time.Since(begun).Seconds())
	return nil
}

func (l *Lab) prepareClusters(ctx context.Context) error {
	group := process.NewGroup(l.options.StateDir)
	for i := range l.options.Plan.Clusters {
		planned := &l.options.Plan.Clusters[i]
		dir := filepath.Join(l.options.StateDir, planned.Name)
		if err := makeClusterDir(dir); err != nil {
			return err
		}
		c, err := cluster.New(ctx, cluster.Options{
			Plan: planned, Dir: dir, Fabric: l.fabric, Group: group, Groups: l.groups,
			Binaries: l.options.Binaries, Reporter: l.options.Reporter, Changed: l.notifyChange,
		})
		if err != nil {
			return err
		}
		l.members = append(l.members, &member{Cluster: c})
	}
	return nil
}

// startClusters starts all clusters, each with the module, and makes them peers.
func (l *Lab) startClusters(ctx context.Context) error {
	all, starting := errgroup.WithContext(ctx)
	for _, m := range l.members {
		all.Go(func() error { return l.startCluster(starting, ctx, m) })
	}
	if err := all.Wait(); err != nil || l.options.Module == nil {
		return err
	}
	// The operator installs the definitions that peers need; the module's own Pods need not be ready.
	all, starting = errgroup.WithContext(ctx)
	for _, m := range l.members {
		all.Go(func() error {
			err := l.installModule(starting, m)
			if err == nil {
				go m.install.KeepAdapted(ctx)
			}
			return err
		})
	}
	all.Go(func() error { return l.addPeers(starting) })
	return all.Wait()
}

// startCluster brings a cluster up, with its addons and the module's operator.
// What it starts to do for the cluster goes on until living ends.
func (l *Lab) startCluster(ctx, living context.Context, m *member) error {
	if err := m.Start(ctx); err != nil {
		return err
	}
	go func() { _ = m.BalanceLoad(living) }()
	if l.options.Bare {
		return nil
	}
	planned := m.Plan()
	certificate, err := l.public.Issue(pki.Subject{CommonName: planned.PublicDomain(), DNSNames: []string{"*." + planned.PublicDomain()}, Server: true})
	if err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(ctx)
	all.Go(func() error { return l.installAddons(ctx, m, certificate) })
	if l.options.Module != nil {
		if m.install, err = l.prepareModule(m.Cluster, certificate); err != nil {
			return err
		}
		all.Go(func() error { return l.installOperator(ctx, m) })
	}
	return all.Wait()
}

func (l *Lab) installAddons(ctx context.Context, m *member, certificate pki.Pair) error {
	return l.options.Reporter.Step(m.Plan().Name, "DNS and ingress controller available", "", func(note func(string)) error {
		if err := addons.Apply(ctx, m.Clients(), m.Plan(), certificate); err != nil {
			return err
		}
		for _, deployment := range addons.Deployments {
			err := rollout.AwaitDeployment(ctx, m.Clients().Typed, deployment[0], deployment[1], addonsTimeout, seldom(note))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (l *Lab) serveImages(ctx context.Context) error {
	if l.options.Registry == nil {
		return nil
	}
	listener, err := l.fabric.Listen(netip.AddrPortFrom(plan.FabricAddress, cluster.RegistryPort))
	if err != nil {
		return fmt.Errorf("serve images: %w", err)
	}
	server := &http.Server{Handler: l.options.Registry, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()
	return nil
}

// stop ends all nodes at once, and removes what the kernel leaves of them.
func (l *Lab) stop() error {
	var all errgroup.Group
	for _, c := range l.members {
		all.Go(c.Stop)
	}
	err := all.Wait()
	if l.fabric != nil {
		err = errors.Join(err, l.fabric.Close())
	}
	_ = os.Remove(filepath.Join(l.options.StateDir, state.FileName))
	return errors.Join(err, l.groups.RemoveAll(), removeNodesData(l.options.StateDir))
}

// PublicCA is the PEM file of the authority that signs what clusters show each other.
func (l *Lab) PublicCA() string { return filepath.Join(l.options.StateDir, "ca.crt") }
