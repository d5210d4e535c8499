package hooks

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"
	"k8s.io/client-go/dynamic"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/federation/syncer"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/servicelist"
)

const (
	servicesMetricsGroup = "istio_federation_services"
	unwrittenMetric      = "d8_istio_federation_unwritten_objects"

	// watchTimeout bounds how long the first run waits until the existing objects are known.
	watchTimeout = 10 * time.Second
)

// residentServices is federation_services in a process that continues between runs: the
// hook says what is wanted, and package syncer writes it. The hook is not woken by
// what was written. It is safe for concurrent use: hooks of two queues use it.
type residentServices struct {
	// connect makes the client to write with.
	connect connection
	// lifetime ends when this process may not touch the cluster any more.
	lifetime context.Context //nolint:containedctx // it outlives every run
	codec    *servicelist.Codec
	// running are the syncers that have not ended.
	running sync.WaitGroup

	mu sync.Mutex
	// ended is true from before the module's release is deleted until a release exists again.
	ended bool
	// syncer is nil while none runs; stop ends it and waits for that.
	syncer *syncer.Syncer
	stop   func()
	// federations reads their snapshot while a syncer runs.
	federations peerReader
	conflicts   nameConflicts
	// compared is the minute in which everything was compared last.
	compared time.Time
}

// servicesUntil serves until lifetime ends.
func servicesUntil(lifetime context.Context, codec *servicelist.Codec) *residentServices {
	return &residentServices{connect: unlimited, lifetime: lifetime, codec: codec}
}

// hook is federation_services in the operator. All its bindings are in one queue: addon-operator runs what is around
// Helm in the queue "main", at the same time as others, and an older run must not overtake a newer one. Changed
// settings arrive by the status that federation_switch writes into every resource.
func (r *residentServices) hook() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "federation_services",
		Config: sdk.HookConfig{
			Queue:      federationServicesQueue,
			Kubernetes: []sdk.KubernetesConfig{switchedFederationsBinding(), multiclusterKind().identitiesBinding(), usableNamespaceBinding()},
			// In case that an event is missed.
			Schedule: []sdk.ScheduleConfig{everyMinute},
		},
		Run: r.run,
	}
}

// switchedFederationsBinding is federationsBinding with an event, too, when
// federation is switched: off, federation_switch says so in every resource; on,
// it has their peers polled, which changes their status.
func switchedFederationsBinding() sdk.KubernetesConfig {
	binding := federationsBinding()
	binding.JqFilter += ` + {switchedOff: ([.status.conditions[]? | select(.type == "` + v1alpha1.ConditionReady +
		`" and .reason == "` + discovery.ReasonFederationDisabled + `")] | length > 0)}`
	return binding
}

// wait until nothing writes any more, once the lifetime has ended.
func (r *residentServices) wait() {
	<-r.lifetime.Done()
	// A run that began before the end has started what it starts; none after it does.
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running.Wait()
}

// unlimited is a client that does not delay requests: the syncer limits how many are in flight.
func unlimited(dc sdk.DependencyContainer) (dynamic.Interface, error) {
	config, err := dc.GetClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find out how to reach the cluster: %w", err)
	}
	config.QPS = -1
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client for ServiceEntries: %w", err)
	}
	return client, nil
}

func (r *residentServices) run(ctx context.Context, in *sdk.HookInput) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil
	}
	usable, err := namespaceUsable(in)
	if err != nil {
		return err
	}
	if !usable {
		if r.syncer != nil {
			r.syncer.Pause()
		}
		return nil
	}
	if err := r.start(ctx, in); err != nil {
		return err
	}
	peers, err := federationPeers(in, r.federations)
	if err != nil {
		return err
	}
	changed, removed, err := r.syncer.Sync(peers)
	if err != nil {
		return err
	}
	if changed+removed > 0 {
		in.Logger.Info("federated services changed", "wanted", changed, "notWanted", removed)
	}
	if minute := in.DC.GetClock().Now().Truncate(time.Minute); !minute.Equal(r.compared) {
		r.syncer.Compare()
		r.compared = minute
	}
	return r.report(ctx, in)
}

// start watching, once; the first run waits until all is known.
func (r *residentServices) start(ctx context.Context, in *sdk.HookInput) error {
	if r.lifetime.Err() != nil {
		return fmt.Errorf("start the syncer of ServiceEntries: this process is about to end: %w", context.Cause(r.lifetime))
	}
	if r.syncer == nil {
		client, err := r.connect(in.DC)
		if err != nil {
			return err
		}
		r.begin(syncer.New(client, in.Logger))
	}
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	defer context.AfterFunc(r.lifetime, cancel)()
	return r.syncer.WaitForCache(ctx)
}

// begin to run the syncer; r.mu is held.
func (r *residentServices) begin(services *syncer.Syncer) {
	ctx, cancel := context.WithCancel(r.lifetime)
	ended := make(chan struct{})
	r.running.Go(func() {
		defer close(ended)
		services.Run(ctx)
	})
	r.syncer, r.federations, r.stop = services, newFederationReader(r.codec), func() {
		cancel()
		<-ended
	}
}

// end the syncer, and have no run start another until resume.
func (r *residentServices) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	if r.syncer != nil {
		r.stop()
	}
	r.syncer, r.federations, r.stop = nil, nil, nil
	r.conflicts, r.compared = nameConflicts{}, time.Time{}
}

// resume has the next run start a syncer.
func (r *residentServices) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = false
}

// report which objects are not as they are wanted.
func (r *residentServices) report(ctx context.Context, in *sdk.HookInput) error {
	problems := r.syncer.Problems()
	slices.SortFunc(problems.NameConflicts, func(a, b federation.Object) int { return a.Key().Compare(b.Key()) })
	if err := r.conflicts.report(ctx, in, problems.NameConflicts); err != nil {
		return err
	}
	in.MetricsCollector.Expire(servicesMetricsGroup)
	in.MetricsCollector.Set(unwrittenMetric, float64(problems.Unwritten), map[string]string{}, operation.WithGroup(servicesMetricsGroup))
	return nil
}
