// Package demo shows on a lab that runs what the module does: a request crosses
// two clusters. Federation: a Service that is published in one cluster answers in
// the other, to those who are trusted and for as long as they are. Multicluster:
// a Service whose Pods are in both clusters.
package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

const (
	namespace = "demo"
	service   = "web"
	// timeout bounds each wait; without the watcher, the module's schedule needs a minute.
	timeout = 90 * time.Second
	// startTimeout bounds the wait for the demonstration's own Pods.
	startTimeout = 3 * time.Minute
)

// Printer prints one line.
type Printer func(format string, args ...any)

// Options of a demonstration.
type Options struct {
	// Lab that runs; its clusters are peers.
	Lab state.Lab
	// Kubectl is how a person calls that program here.
	Kubectl string
	Print   Printer
}

// Run shows what the lab's mode is for, and then what to try by hand.
func Run(ctx context.Context, options Options) error {
	if len(options.Lab.Clusters) < 2 {
		return errors.New("the demonstration needs two clusters: start it with --clusters 2 or more")
	}
	a, err := newCluster(options.Lab.Clusters[0])
	if err != nil {
		return err
	}
	b, err := newCluster(options.Lab.Clusters[1])
	if err != nil {
		return err
	}
	s := stage{consumer: a, publisher: b, print: options.Print, kubectl: options.Kubectl}
	if plan.Mode(options.Lab.Mode) == plan.Federation {
		return s.federation(ctx)
	}
	return s.multicluster(ctx)
}

// stage is what both demonstrations act on.
type stage struct {
	// consumer is the cluster that calls, publisher the one that answers.
	consumer, publisher cluster
	print               Printer
	kubectl             string
}

// host is the name that the client calls.
func (s *stage) host() string {
	return fmt.Sprintf("%s.%s.svc.%s", service, namespace, s.publisher.Domain)
}

func (s *stage) url() string { return "http://" + s.host() + "/" }

// start the demonstration's Pods, in both clusters at once.
func (s *stage) start(ctx context.Context, inConsumer, inPublisher []string) error {
	begun := time.Now()
	all, ctx := errgroup.WithContext(ctx)
	for _, part := range []struct {
		in        cluster
		manifests []string
	}{{s.consumer, inConsumer}, {s.publisher, inPublisher}} {
		all.Go(func() error {
			if err := part.in.apply(ctx, s.host(), part.manifests...); err != nil {
				return fmt.Errorf("%s: %w", part.in.Name, err)
			}
			for _, name := range part.manifests {
				if err := part.in.awaitRollout(ctx, name); err != nil {
					return fmt.Errorf("%s: %w", part.in.Name, err)
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	s.print("")
	s.print("Pods of the demonstration are ready, with sidecars (%s)", elapsed(begun))
	return nil
}

func newCluster(described state.Cluster) (cluster, error) {
	clients, err := kube.New(described.Kubeconfig)
	if err != nil {
		return cluster{}, err
	}
	return cluster{Name: described.Name, Domain: described.ClusterDomain, kubeconfig: described.Kubeconfig, clients: clients, pods: podsOf(clients)}, nil
}

func elapsed(begun time.Time) string { return seconds(time.Since(begun)) }

func seconds(duration time.Duration) string { return fmt.Sprintf("%.2f s", duration.Seconds()) }
