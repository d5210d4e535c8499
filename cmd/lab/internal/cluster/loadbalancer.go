package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
)

// balancerRetry is how soon a failed attempt is repeated, and how often all is looked at anyway.
const balancerRetry = 2 * time.Second

// balancer does what a cloud does for Services of type LoadBalancer: it gives
// them addresses, and routes their traffic to a node that can accept it.
type balancer struct {
	cluster  *Cluster
	services corelisters.ServiceLister
	nodes    corelisters.NodeLister
	slices   discoverylisters.EndpointSliceLister
	// routed is the node that each address leads to.
	routed map[netip.Addr]string
	wake   chan struct{}
}

// BalanceLoad runs until the context ends.
func (c *Cluster) BalanceLoad(ctx context.Context) error {
	factory := informers.NewSharedInformerFactory(c.clients.Typed, 0)
	core := factory.Core().V1()
	b := &balancer{
		cluster: c, services: core.Services().Lister(), nodes: core.Nodes().Lister(),
		slices: factory.Discovery().V1().EndpointSlices().Lister(),
		routed: map[netip.Addr]string{}, wake: make(chan struct{}, 1),
	}
	for _, informer := range []cache.SharedIndexInformer{
		core.Services().Informer(), core.Nodes().Informer(), factory.Discovery().V1().EndpointSlices().Informer(),
	} {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { b.notify() }, UpdateFunc: func(any, any) { b.notify() }, DeleteFunc: func(any) { b.notify() },
		})
		if err != nil {
			return fmt.Errorf("watch Services of %s: %w", c.options.Plan.Name, err)
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	b.run(ctx)
	factory.Shutdown()
	return nil
}

func (b *balancer) notify() {
	select {
	case b.wake <- struct{}{}:
	default: // a round is due already
	}
}

func (b *balancer) run(ctx context.Context) {
	retry := time.NewTicker(balancerRetry)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.wake:
		case <-retry.C:
		}
		if err := b.reconcile(ctx); err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "Services of type LoadBalancer", "cluster", b.cluster.options.Plan.Name)
		}
	}
}

func (b *balancer) reconcile(ctx context.Context) error {
	services, err := b.services.List(labels.Everything())
	if err != nil {
		return err
	}
	assigned := assign(services, b.cluster.options.Plan)
	for service, address := range assigned {
		if err := b.publish(ctx, service, address); err != nil {
			return err
		}
	}
	return b.route(assigned)
}

// publish the address in the Service's status.
func (b *balancer) publish(ctx context.Context, service *corev1.Service, address netip.Addr) error {
	if publishedAddress(service) == address && len(service.Status.LoadBalancer.Ingress) == 1 {
		return nil
	}
	// A patch: others change the Service meanwhile, and that is no conflict.
	patch := fmt.Appendf(nil, `{"status": {"loadBalancer": {"ingress": [{"ip": %q}]}}}`, address)
	_, err := b.cluster.clients.Typed.CoreV1().Services(service.Namespace).Patch(ctx, service.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("give Service %s/%s its address: %w", service.Namespace, service.Name, err)
	}
	return nil
}

// route all addresses to nodes that can accept their traffic.
func (b *balancer) route(assigned map[*corev1.Service]netip.Addr) error {
	wanted := map[netip.Addr]string{}
	for service, address := range assigned {
		able, err := b.able(service)
		if err != nil {
			return err
		}
		if name := choose(able, b.routed[address]); name != "" {
			wanted[address] = name
		}
	}
	for address := range b.routed {
		if _, still := wanted[address]; !still {
			if err := b.cluster.options.Fabric.UnrouteAddress(address); err != nil {
				return err
			}
			delete(b.routed, address)
		}
	}
	for address, name := range wanted {
		if b.routed[address] == name {
			continue
		}
		member, err := b.cluster.member(name)
		if err != nil {
			return err
		}
		if err := b.cluster.options.Fabric.RouteAddress(address, member.plan.Address); err != nil {
			return err
		}
		b.routed[address] = name
	}
	return nil
}

// able nodes, by name: those that are Ready and, for a Service with
// externalTrafficPolicy Local, have a Pod of it.
func (b *balancer) able(service *corev1.Service) ([]string, error) {
	nodes, err := b.nodes.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	var able []string
	for _, node := range nodes {
		if ready, _ := isReady(node); ready && b.cluster.isRunning(node.Name) {
			able = append(able, node.Name)
		}
	}
	slices.Sort(able)
	if service.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal {
		return able, nil
	}
	endpoints, err := b.slices.EndpointSlices(service.Namespace).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service.Name}))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(able, func(node string) bool { return !hasEndpoint(endpoints, node) }), nil
}

func hasEndpoint(endpointSlices []*discoveryv1.EndpointSlice, node string) bool {
	for _, slice := range endpointSlices {
		for _, endpoint := range slice.Endpoints {
			ready := endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready
			if ready && endpoint.NodeName != nil && *endpoint.NodeName == node {
				return true
			}
		}
	}
	return false
}

// choose the node that an address leads to: the present one while it is able,
// since connections would break on another.
func choose(able []string, present string) string {
	switch {
	case len(able) == 0:
		return ""
	case slices.Contains(able, present):
		return present
	}
	return able[0]
}

// assign an address to every Service that wants one: the one it asks for, else
// the one it has, else the lowest that is free. The first of the range is only
// given to a Service that asks for it.
func assign(services []*corev1.Service, cluster *plan.Cluster) map[*corev1.Service]netip.Addr {
	services = slices.DeleteFunc(slices.Clone(services), func(service *corev1.Service) bool {
		return service.Spec.Type != corev1.ServiceTypeLoadBalancer || service.Spec.LoadBalancerClass != nil || service.DeletionTimestamp != nil
	})
	// The oldest Service keeps what two want.
	slices.SortFunc(services, func(a, b *corev1.Service) int {
		if order := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); order != 0 {
			return order
		}
		return slices.Compare([]string{a.Namespace, a.Name}, []string{b.Namespace, b.Name})
	})
	first, last := cluster.LoadBalancers()
	assigned := map[*corev1.Service]netip.Addr{}
	taken := map[netip.Addr]bool{}
	take := func(service *corev1.Service, address netip.Addr) {
		_, has := assigned[service]
		if !has && !taken[address] && !address.Less(first) && !last.Less(address) {
			assigned[service], taken[address] = address, true
		}
	}
	for _, service := range services {
		take(service, askedAddress(service))
	}
	services = slices.DeleteFunc(services, func(service *corev1.Service) bool {
		return service.Spec.LoadBalancerIP != "" // it has that one, or none
	})
	for _, service := range services {
		take(service, publishedAddress(service))
	}
	for _, service := range services {
		for address := first.Next(); !last.Less(address); address = address.Next() {
			take(service, address)
		}
	}
	return assigned
}

// askedAddress and publishedAddress are no valid address when there is none.
func askedAddress(service *corev1.Service) netip.Addr {
	address, _ := netip.ParseAddr(service.Spec.LoadBalancerIP)
	return address
}

func publishedAddress(service *corev1.Service) netip.Addr {
	if len(service.Status.LoadBalancer.Ingress) == 0 {
		return netip.Addr{}
	}
	address, _ := netip.ParseAddr(service.Status.LoadBalancer.Ingress[0].IP)
	return address
}
