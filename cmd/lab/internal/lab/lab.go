package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/progress"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/wan"
)

// cleanupTimeout bounds the wait for processes that were killed.
const cleanupTimeout = 20 * time.Second

// Options of a lab.
type Options struct {
	Layout Layout
	// StateDir is where the lab keeps everything; an absolute path.
	StateDir string
	Clusters int
	Mode     Mode
	// SettingsFile holds spec.settings of every cluster's ModuleConfig istio, empty for none.
	SettingsFile string
	Reporter     *progress.Reporter
}

// Run starts the lab, calls use once everything is up and joined, and when use
// returns, or the context ends, or something of the lab itself breaks, stops
// all of it and waits until no process is left.
func Run(ctx context.Context, options Options, use func(ctx context.Context, lab state.Lab) error) (err error) {
	plans := planClusters(options.Clusters, options.Mode)
	settings, err := settingsOf(plans, options.SettingsFile)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(options.StateDir, 0o755); err != nil {
		return fmt.Errorf("make the state dir: %w", err)
	}
	lock, err := state.Acquire(options.StateDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if err := clean(options.StateDir); err != nil {
		return err
	}

	ctx, cancel := context.WithCancelCause(ctx)
	running := &running{options: options, settings: settings, failed: make(chan error, 1), changes: make(chan struct{}, 1)}
	defer func() {
		cancel(errStopped)
		err = errors.Join(err, running.stop())
	}()
	if err := running.start(ctx, plans); err != nil {
		return err
	}
	return running.use(ctx, use)
}

// running lab.
type running struct {
	options Options
	// settings of each cluster, by its name.
	settings map[string]map[string]any
	names    wan.Names
	public   *pki.Authority
	clusters []*cluster
	file     *state.File

	failed  chan error
	changes chan struct{}
}

func (r *running) start(ctx context.Context, plans []plan) error {
	begun := time.Now()
	var err error
	if r.public, err = pki.NewAuthority("lab"); err != nil {
		return err
	}
	if err := state.WriteFile(r.publicCA(), r.public.PEM, 0o644); err != nil {
		return err
	}
	group := process.NewGroup(r.options.StateDir)
	for _, plan := range plans {
		dir := filepath.Join(r.options.StateDir, plan.name)
		if err := makeClusterDir(dir); err != nil {
			return err
		}
		r.clusters = append(r.clusters, &cluster{
			mode: r.options.Mode, plan: plan, settings: r.settings[plan.name], dir: dir, layout: r.options.Layout, group: group,
			reporter: r.options.Reporter, changed: r.notifyChange, failed: r.failed,
			names: &r.names, link: &wan.Link{},
		})
	}
	err = r.forEach(ctx, func(ctx context.Context, c *cluster) error {
		if err := c.start(ctx, r.public); err != nil {
			return err
		}
		if err := c.awaitIdentity(ctx); err != nil {
			return err
		}
		if !slices.ContainsFunc(c.plan.needs, c.isOn) {
			return nil
		}
		return c.awaitModule(ctx, r.public)
	})
	if err != nil {
		return err
	}
	if err := r.join(ctx); err != nil {
		return err
	}
	// Istiod has been starting all the while.
	if err := r.forEach(ctx, func(ctx context.Context, c *cluster) error { return c.awaitMesh(ctx) }); err != nil {
		return err
	}
	if err := r.forEachJoin(ctx, Multicluster, func(ctx context.Context, c, peer *cluster) error { return c.awaitRead(ctx, peer) }); err != nil {
		return err
	}
	r.options.Reporter.Printf("lab ready: %d clusters (%.1fs)", len(r.clusters), time.Since(begun).Seconds())
	return nil
}

func (r *running) join(ctx context.Context) error {
	for _, kind := range []Mode{Federation, Multicluster} {
		if slices.ContainsFunc(r.clusters, func(c *cluster) bool { return slices.Contains(c.plan.needs, kind) && !c.isOn(kind) }) {
			r.options.Reporter.Printf("the settings switch %s off: the clusters are not joined by it", kind)
		}
		err := r.forEachJoin(ctx, kind, func(ctx context.Context, c, peer *cluster) error { return c.join(ctx, kind, peer, r.public) })
		if err != nil {
			return err
		}
	}
	return r.forEachPair(ctx, func(ctx context.Context, c, peer *cluster) error {
		kind, joined := c.plan.joins[peer.plan.name]
		if !joined || !c.isOn(kind) {
			return nil
		}
		return c.awaitJoined(ctx, kind, peer)
	})
}

// forEachJoin of that kind that the settings allow.
func (r *running) forEachJoin(ctx context.Context, kind Mode, do func(ctx context.Context, c, peer *cluster) error) error {
	return r.forEachPair(ctx, func(ctx context.Context, c, peer *cluster) error {
		if c.plan.joins[peer.plan.name] != kind || !c.isOn(kind) {
			return nil
		}
		return do(ctx, c, peer)
	})
}

// use writes lab.json, lets the lab be used and keeps lab.json true meanwhile.
func (r *running) use(parent context.Context, use func(context.Context, state.Lab) error) error {
	r.file = state.NewFile(r.options.StateDir, r.describe())
	if err := r.refresh(); err != nil {
		return err
	}
	defer func() { _ = os.Remove(filepath.Join(r.options.StateDir, state.FileName)) }()
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case err := <-r.failed:
				cancel(err)
				return
			case <-r.changes:
				if err := r.refresh(); err != nil {
					cancel(err)
					return
				}
			}
		}
	}()
	err := use(ctx, r.file.Snapshot())
	if ctx.Err() != nil && parent.Err() == nil { // something of the lab broke
		return context.Cause(ctx)
	}
	return err
}

func (r *running) describe() state.Lab {
	lab := state.Lab{Mode: string(r.options.Mode), PID: os.Getpid(), Ready: true}
	for _, c := range r.clusters {
		lab.Clusters = append(lab.Clusters, state.Cluster{
			Name: c.plan.name, ClusterDomain: c.plan.domain, ClusterUUID: c.uuid,
			APIServer: c.plane.URL(), Kubeconfig: c.plane.Kubeconfig(),
			MetadataEndpoint: c.metadataAddress(), MetadataCA: r.publicCA(), APIProxy: c.apiAddress(),
			OperatorMetrics: c.operator.metrics(), HookMetrics: c.operator.hookMetrics(),
		})
	}
	return lab
}

func (r *running) refresh() error {
	return r.file.Update(func(lab *state.Lab) {
		for i, c := range r.clusters {
			lab.Clusters[i].Processes = c.processes()
			lab.Clusters[i].Istiod = c.istiodAddresses()
			lab.Clusters[i].NetworkCut = c.link.IsCut()
		}
	})
}

func (r *running) notifyChange() {
	select {
	case r.changes <- struct{}{}:
	default: // a refresh is due already
	}
}

func (r *running) stop() error {
	var all errgroup.Group
	for _, c := range r.clusters {
		all.Go(c.stop)
	}
	err := all.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	return errors.Join(err, process.KillLeftovers(ctx, r.options.StateDir))
}

func (r *running) publicCA() string { return filepath.Join(r.options.StateDir, "ca.crt") }

func (r *running) forEach(ctx context.Context, do func(context.Context, *cluster) error) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, c := range r.clusters {
		all.Go(func() error { return do(ctx, c) })
	}
	return all.Wait()
}

func (r *running) forEachPair(ctx context.Context, do func(ctx context.Context, c, peer *cluster) error) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, c := range r.clusters {
		for _, peer := range r.clusters {
			if c != peer {
				all.Go(func() error { return do(ctx, c, peer) })
			}
		}
	}
	return all.Wait()
}
