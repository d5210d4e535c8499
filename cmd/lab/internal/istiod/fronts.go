package istiod

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/serviceproxy"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

// Fronts give istiod of every revision addresses that stay the same while its
// Pods come and go, for as long as the revision's Service exists.
type Fronts struct {
	options Options

	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister

	mu         sync.Mutex
	byRevision map[string]*fronts
	serving    sync.WaitGroup
}

// Options of Fronts.
type Options struct {
	Client kubernetes.Interface
	// Namespace of istiod.
	Namespace string
	// Address that the fronts listen on, at ports of their own.
	Address netip.Addr
	Network *podnet.Network
	// Changed is called when addresses come or go; it must not block.
	Changed func()
}

// fronts of one revision.
type fronts struct {
	xds, debug *serviceproxy.Front
	stop       context.CancelFunc
}

// NewFronts makes fronts; Run opens and serves them.
func NewFronts(options Options) *Fronts {
	return &Fronts{options: options, byRevision: map[string]*fronts{}}
}

// Addresses of now, by revision.
func (f *Fronts) Addresses() map[string]state.Istiod {
	f.mu.Lock()
	defer f.mu.Unlock()
	addresses := map[string]state.Istiod{}
	for revision, open := range f.byRevision {
		addresses[revision] = state.Istiod{XDS: open.xds.Address().String(), Debug: "http://" + open.debug.Address().String()}
	}
	return addresses
}

// Run follows the Services of istiod and their ready Pods until the context
// ends, then closes the fronts and returns.
func (f *Fronts) Run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactoryWithOptions(f.options.Client, 0, informers.WithNamespace(f.options.Namespace))
	services, slices := factory.Core().V1().Services(), factory.Discovery().V1().EndpointSlices()
	f.services, f.slices = services.Lister(), slices.Lister()
	events := make(chan struct{}, 1)
	notify := func(any) {
		select {
		case events <- struct{}{}:
		default: // a look at everything is due already
		}
	}
	for _, informer := range []cache.SharedIndexInformer{services.Informer(), slices.Informer()} {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: notify, UpdateFunc: func(_, object any) { notify(object) }, DeleteFunc: notify,
		})
		if err != nil {
			return fmt.Errorf("watch the Services of istiod: %w", err)
		}
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	factory.WaitForCacheSync(ctx.Done())
	for {
		select {
		case <-ctx.Done():
			f.serving.Wait()
			return nil
		case <-events:
			if err := f.follow(ctx); err != nil {
				return err
			}
		}
	}
}

// follow makes the fronts and their backends fit the cluster.
func (f *Fronts) follow(ctx context.Context) error {
	services, err := f.services.Services(f.options.Namespace).List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list the Services of istiod: %w", err)
	}
	wanted := map[string]bool{}
	for _, service := range services {
		revision, err := revisionOf(service.Name)
		if err != nil || service.DeletionTimestamp != nil {
			continue
		}
		wanted[revision] = true
		open, err := f.ensure(ctx, revision)
		if err != nil {
			return err
		}
		pods, err := f.readyPods(service.Name)
		if err != nil {
			return err
		}
		open.xds.SetBackends(at(pods, plainPort))
		open.xds.SetTLSBackends(at(pods, tlsPort))
		open.debug.SetBackends(at(pods, debugPort))
	}
	f.closeOthers(wanted)
	return nil
}

// ensure that the fronts of the revision are open.
func (f *Fronts) ensure(ctx context.Context, revision string) (*fronts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if open, ok := f.byRevision[revision]; ok {
		return open, nil
	}
	anyPort := netip.AddrPortFrom(f.options.Address, 0)
	xds, err := serviceproxy.ListenSplit(anyPort)
	if err != nil {
		return nil, fmt.Errorf("istiod %s: %w", revision, err)
	}
	debug, err := serviceproxy.Listen(anyPort)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("istiod %s: %w", revision, err), xds.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	open := &fronts{xds: xds, debug: debug, stop: cancel}
	for _, front := range []*serviceproxy.Front{xds, debug} {
		f.serving.Go(func() {
			if err := front.Serve(ctx); err != nil {
				klog.Errorf("istiod %s: %v", revision, err)
			}
		})
	}
	f.byRevision[revision] = open
	f.options.Changed()
	return open, nil
}

func (f *Fronts) closeOthers(wanted map[string]bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for revision, open := range f.byRevision {
		if !wanted[revision] {
			open.stop()
			delete(f.byRevision, revision)
			f.options.Changed()
		}
	}
}

func (f *Fronts) readyPods(service string) ([]netip.Addr, error) {
	selector := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service})
	slices, err := f.slices.EndpointSlices(f.options.Namespace).List(selector)
	if err != nil {
		return nil, fmt.Errorf("list the Pods of Service %s: %w", service, err)
	}
	var pods []netip.Addr
	for _, slice := range slices {
		pods = append(pods, serviceproxy.ReadyPods(slice, f.options.Network)...)
	}
	return pods, nil
}

func at(pods []netip.Addr, port uint16) []netip.AddrPort {
	var backends []netip.AddrPort
	for _, pod := range pods {
		backends = append(backends, netip.AddrPortFrom(pod, port))
	}
	return backends
}
