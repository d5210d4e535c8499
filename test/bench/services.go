package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

const publishedNamespace = "bench"

// publishMany creates labelled Services, each with an EndpointSlice as its controller would make it.
func (c *cluster) publishMany(ctx context.Context, count int) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: publishedNamespace}}
	if _, err := c.typed.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create namespace %s: %w", publishedNamespace, err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for index := range count {
		group.Go(func() error { return c.createService(ctx, fmt.Sprintf("api-%05d", index), true) })
	}
	return group.Wait()
}

func (c *cluster) createService(ctx context.Context, name string, public bool) error {
	labels := map[string]string{}
	if public {
		labels[v1alpha1.PublicServiceLabel] = ""
	}
	http, grpc := "http", "grpc"
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: publishedNamespace, Labels: labels},
		Spec: corev1.ServiceSpec{
			// Ten thousand of them need no addresses here.
			ClusterIP: corev1.ClusterIPNone,
			Ports:     []corev1.ServicePort{{Name: "http-web", Port: 80, AppProtocol: &http}, {Name: "grpc-api", Port: 9000, AppProtocol: &grpc}},
		},
	}
	if _, err := c.typed.CoreV1().Services(publishedNamespace).Create(ctx, service, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create Service %s: %w", name, err)
	}
	port, portName, protocol := int32(80), "http-web", corev1.ProtocolTCP
	labels[discoveryv1.LabelServiceName] = name
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Namespace: publishedNamespace, Labels: labels},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &portName, Port: &port, Protocol: &protocol}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.9.0.1"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: publishedNamespace, Name: name + "-0"}},
			{Addresses: []string{"10.9.0.2"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: publishedNamespace, Name: name + "-1"}},
		},
	}
	if _, err := c.typed.DiscoveryV1().EndpointSlices(publishedNamespace).Create(ctx, slice, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create EndpointSlice %s: %w", name, err)
	}
	return nil
}

// label creates a Service, labels it, and returns when it began to.
func (c *cluster) label(ctx context.Context, name string) (time.Time, error) {
	if err := c.createService(ctx, name, false); err != nil {
		return time.Time{}, err
	}
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:""}}}`, v1alpha1.PublicServiceLabel)
	begun := time.Now()
	_, err := c.typed.CoreV1().Services(publishedNamespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		err = fmt.Errorf("label Service %s: %w", name, err)
	}
	return begun, err
}
