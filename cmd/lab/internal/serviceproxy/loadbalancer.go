package serviceproxy

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// AssignAddresses writes the address in the status of the namespace's Services
// of type LoadBalancer, as a cloud's controller would, until the context ends.
func AssignAddresses(ctx context.Context, client kubernetes.Interface, namespace string, address netip.Addr) error {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	assign := func(object any) {
		service, ok := object.(*corev1.Service)
		if !ok || !needsAddress(service, address) {
			return
		}
		patch := fmt.Appendf(nil, `{"status":{"loadBalancer":{"ingress":[{"ip":%q,"ipMode":"VIP"}]}}}`, address)
		_, err := client.CoreV1().Services(namespace).Patch(ctx, service.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		if err != nil && ctx.Err() == nil {
			klog.Warningf("give Service %s/%s the load balancer address %s: %v", namespace, service.Name, address, err)
		}
	}
	_, err := factory.Core().V1().Services().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: assign, UpdateFunc: func(_, object any) { assign(object) },
	})
	if err != nil {
		return fmt.Errorf("watch the Services of type LoadBalancer: %w", err)
	}
	factory.Start(ctx.Done())
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

func needsAddress(service *corev1.Service, address netip.Addr) bool {
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer || service.DeletionTimestamp != nil {
		return false
	}
	ingress := service.Status.LoadBalancer.Ingress
	return len(ingress) != 1 || ingress[0].IP != address.String()
}
