package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/client-go/dynamic"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/watcher"
	"github.com/deckhouse-mesh/istio/lib/peer"
	"github.com/deckhouse-mesh/istio/lib/program"
	"github.com/deckhouse-mesh/istio/lib/tlsfiles"
)

type options struct {
	program.Options

	authnDir             string
	clientCertificateDir string
	watchKinds           []string
}

// run watches until ctx has ended and all of it has stopped, or until a part fails.
func (o *options) run(ctx context.Context, p *program.Program) error {
	// Pokes are paced for each resource; the client's own limit must not delay them.
	p.API.QPS, p.API.Burst = 100, 200
	metrics := watcher.NewMetrics()
	watchers, err := o.watchers(p, metrics)
	if err != nil {
		return err
	}
	parts := program.Parts{Metrics: metrics.Registry, Attributes: []any{"kinds", o.watchKinds}}
	parts.Ready = func() error {
		var problems []error
		for _, watch := range watchers {
			problems = append(problems, watch.Ready())
		}
		return errors.Join(problems...)
	}
	for _, watch := range watchers {
		parts.Background = append(parts.Background, watch.Run)
	}
	return p.Run(ctx, parts)
}

// watchers makes one watcher for each kind of resources whose peers are watched.
func (o *options) watchers(p *program.Program, metrics *watcher.Metrics) ([]*watcher.Watcher, error) {
	client, err := dynamic.NewForConfig(p.API)
	if err != nil {
		return nil, fmt.Errorf("make a Kubernetes client: %w", err)
	}
	fetcher := watcher.Presenter{
		Client:      peer.NewClient(),
		Certificate: tlsfiles.WatchCertificate("client certificate", o.clientCertificateDir, p.Log),
	}
	var watchers []*watcher.Watcher
	for _, kind := range []watcher.Kind{watcher.Federations, watcher.Multiclusters} {
		if slices.Contains(o.watchKinds, kind.Name) {
			watchers = append(watchers, &watcher.Watcher{
				Kind: kind, Client: client, Namespace: p.Namespace, Peers: fetcher,
				Token:   watcher.Signer{Dir: o.authnDir, ClusterUUID: p.ClusterUUID}.Token,
				Metrics: metrics, Log: p.Log, Timing: watcher.DefaultTiming(),
			})
		}
	}
	return watchers, nil
}
