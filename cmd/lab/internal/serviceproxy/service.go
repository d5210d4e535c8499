package serviceproxy

import (
	"context"
	"fmt"
	"net/netip"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
)

// Service that a front stands for.
type Service struct {
	Namespace, Name string
	// Port is the name of the Service's port.
	Port string
}

// Follow tells set the ready endpoints of the Service, as the cluster's
// EndpointSlices list them, whenever they may have changed, until the context ends.
func Follow(ctx context.Context, client kubernetes.Interface, service Service, network *podnet.Network, set func([]netip.AddrPort)) error {
	selector := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service.Name})
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithNamespace(service.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = selector.String() }))
	slices := factory.Discovery().V1().EndpointSlices()
	update := func(any) { set(backendsOf(slices.Lister(), service, network)) }
	_, err := slices.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: update, UpdateFunc: func(_, object any) { update(object) }, DeleteFunc: update,
	})
	if err != nil {
		return fmt.Errorf("watch the endpoints of Service %s/%s: %w", service.Namespace, service.Name, err)
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

func backendsOf(lister discoverylisters.EndpointSliceLister, service Service, network *podnet.Network) []netip.AddrPort {
	all, err := lister.EndpointSlices(service.Namespace).List(labels.Everything())
	if err != nil {
		return nil
	}
	var backends []netip.AddrPort
	for _, slice := range all {
		for _, port := range slice.Ports {
			if port.Name == nil || *port.Name != service.Port || port.Port == nil {
				continue
			}
			for _, address := range ReadyPods(slice, network) {
				backends = append(backends, netip.AddrPortFrom(address, uint16(*port.Port)))
			}
		}
	}
	return backends
}

// ReadyPods are the addresses that the slice's ready Pods really listen on.
// Endpoints that are no Pods of the network are passed over.
func ReadyPods(slice *discoveryv1.EndpointSlice, network *podnet.Network) []netip.Addr {
	var ready []netip.Addr
	for _, endpoint := range slice.Endpoints {
		if endpoint.Conditions.Ready != nil && !*endpoint.Conditions.Ready {
			continue
		}
		for _, text := range endpoint.Addresses {
			shown, err := netip.ParseAddr(text)
			if err != nil {
				continue
			}
			if real, err := network.Real(shown); err == nil {
				ready = append(ready, real)
			}
		}
	}
	return ready
}
