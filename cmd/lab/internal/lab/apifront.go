package lab

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/ingress"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/serviceproxy"
)

var (
	// ingressController is what cluster-external connections go to.
	ingressController = serviceproxy.Service{Namespace: ingress.Namespace, Name: ingress.Name, Port: ingress.Port}
	apiProxyService   = serviceproxy.Service{Namespace: moduleNamespace, Name: apiProxy, Port: "https"}
)

// apiFront is the address that stands for the API proxy's public name. It leads
// to the ingress controller; but when the proxy's Ingress has connections passed
// through untouched, to the proxy itself: by address a connection names no
// host, and of those the controller can give all to one Ingress only, which is
// that of the metadata.
type apiFront struct {
	*serviceproxy.Front

	mu                sync.Mutex
	controllers, pods []netip.AddrPort
	passedThrough     bool
}

func newAPIFront(front *serviceproxy.Front) *apiFront { return &apiFront{Front: front} }

// update what the front's backends depend on.
func (f *apiFront) update(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	if f.passedThrough {
		f.SetBackends(f.pods)
	} else {
		f.SetBackends(f.controllers)
	}
}

// follow the cluster until the context ends.
func (f *apiFront) follow(ctx context.Context, client kubernetes.Interface, network *podnet.Network) error {
	ingresses := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(moduleNamespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, apiProxy).String()
		}))
	see := func(object any) {
		if found, ok := object.(*networkingv1.Ingress); ok && found.Name == apiProxy {
			f.update(func() { f.passedThrough = ingress.IsPassedThrough(found) })
		}
	}
	_, err := ingresses.Networking().V1().Ingresses().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: see, UpdateFunc: func(_, object any) { see(object) },
	})
	if err != nil {
		return fmt.Errorf("watch the Ingress of the API proxy: %w", err)
	}
	ingresses.Start(ctx.Done())
	defer ingresses.Shutdown()
	var failed [2]error
	var both sync.WaitGroup
	both.Go(func() {
		failed[0] = serviceproxy.Follow(ctx, client, ingressController, network, func(b []netip.AddrPort) { f.update(func() { f.controllers = b }) })
	})
	both.Go(func() {
		failed[1] = serviceproxy.Follow(ctx, client, apiProxyService, network, func(b []netip.AddrPort) { f.update(func() { f.pods = b }) })
	})
	both.Wait()
	if failed[0] != nil {
		return failed[0]
	}
	return failed[1]
}
