package hooks

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"
	"k8s.io/client-go/dynamic"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/federation/upkeep"
	"github.com/deckhouse-mesh/istio/lib/servicelist"
)

const (
	servicesMetricsGroup = "istio_federation_services"
	unwrittenMetric      = "d8_istio_federation_unwritten_objects"

	// watchTimeout is how long the first run waits for what is there.
	watchTimeout = 10 * time.Second
)

// residentServices is federation_services in a process that lives on: the hook
// says what is wanted, and package upkeep writes it. The hook is not woken by
// what was written. It is safe for concurrent use: hooks of two queues use it.
type residentServices struct {
	// connect makes the client to write with.
	connect func(sdk.DependencyContainer) (dynamic.Interface, error)
	// lifetime ends when this process may not touch the cluster any more.
	lifetime context.Context //nolint:containedctx // it outlives every run
	// running are the upkeeps that have not come to their end.
	running sync.WaitGroup

	mu sync.Mutex
	// over is true from before the module's release is deleted until there is one again.
	over bool
	// upkeep is nil while none runs; stop ends it and waits for that.
	upkeep  *upkeep.Upkeep
	stop    func()
	told    takenNames
	decoded decodings[v1alpha1.IstioFederation]
	// compared is the minute in which everything was compared last.
	compared time.Time
}

// servicesUntil serves until lifetime ends.
func servicesUntil(lifetime context.Context, codec *servicelist.Codec) *residentServices {
	return &residentServices{connect: unlimited, lifetime: lifetime, decoded: decodings[v1alpha1.IstioFederation]{unpack: unpackWith(codec)}}
}

// wait until nothing is written any more, once the lifetime has ended.
func (r *residentServices) wait() {
	<-r.lifetime.Done()
	// A run that began before the end has started what it starts; none after it does.
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running.Wait()
}

// unlimited is a client that does not hold back requests: upkeep bounds how many there are at once.
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
	if r.over {
		return nil
	}
	usable, err := namespaceUsable(in)
	if err != nil {
		return err
	}
	if !usable {
		if r.upkeep != nil {
			r.upkeep.Rest()
		}
		return nil
	}
	if err := r.start(ctx, in); err != nil {
		return err
	}
	peers, err := federationPeers(in, r.decoded.snapshot)
	if err != nil {
		return err
	}
	changed, gone, err := r.upkeep.Want(peers)
	if err != nil {
		return err
	}
	if changed+gone > 0 {
		in.Logger.Info("federated services changed", "wanted", changed, "notWanted", gone)
	}
	if minute := in.DC.GetClock().Now().Truncate(time.Minute); !minute.Equal(r.compared) {
		r.upkeep.Compare()
		r.compared = minute
	}
	return r.report(in)
}

// start watching, once; the first run waits until all is known.
func (r *residentServices) start(ctx context.Context, in *sdk.HookInput) error {
	if r.lifetime.Err() != nil {
		return fmt.Errorf("start the upkeep of ServiceEntries: this process is about to end: %w", context.Cause(r.lifetime))
	}
	if r.upkeep == nil {
		client, err := r.connect(in.DC)
		if err != nil {
			return err
		}
		r.begin(upkeep.New(client, in.Logger))
	}
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	defer context.AfterFunc(r.lifetime, cancel)()
	return r.upkeep.Synced(ctx)
}

// begin the upkeep; r.mu is held.
func (r *residentServices) begin(services *upkeep.Upkeep) {
	ctx, cancel := context.WithCancel(r.lifetime)
	ended := make(chan struct{})
	r.running.Go(func() {
		defer close(ended)
		services.Run(ctx)
	})
	r.upkeep, r.stop = services, func() {
		cancel()
		<-ended
	}
}

// end the upkeep, and have no run start another until resume.
func (r *residentServices) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	if r.upkeep != nil {
		r.stop()
	}
	r.upkeep, r.stop = nil, nil
	r.told, r.decoded.known, r.compared = takenNames{}, nil, time.Time{}
}

// resume has the next run start what is not running.
func (r *residentServices) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = false
}

// report what cannot be as it is wanted.
func (r *residentServices) report(in *sdk.HookInput) error {
	troubles := r.upkeep.Troubles()
	slices.SortFunc(troubles.Taken, func(a, b federation.Object) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	if err := r.told.say(in, troubles.Taken); err != nil {
		return err
	}
	in.MetricsCollector.Expire(servicesMetricsGroup)
	total := 0
	for _, count := range troubles.Unwritten {
		total += count
	}
	in.MetricsCollector.Set(unwrittenMetric, float64(total), map[string]string{}, operation.WithGroup(servicesMetricsGroup))
	return nil
}
