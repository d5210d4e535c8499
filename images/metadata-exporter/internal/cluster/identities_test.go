package cluster_test

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

func meshPod(name, serviceAccount string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", Labels: map[string]string{"security.istio.io/tlsMode": "istio"}},
		Spec:       corev1.PodSpec{ServiceAccountName: serviceAccount},
	}
}

// slice is an EndpointSlice of the Service as the controller of Kubernetes makes it; a Pod named "" is an address by hand.
func slice(service string, pods ...string) *discoveryv1.EndpointSlice {
	made := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
		Name: service + "-x", Namespace: "shop",
		Labels: map[string]string{discoveryv1.LabelServiceName: service, v1alpha1.PublicServiceLabel: ""},
	}}
	for _, pod := range pods {
		endpoint := discoveryv1.Endpoint{Addresses: []string{"10.0.0.1"}}
		if pod != "" {
			endpoint.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: pod}
		}
		made.Endpoints = append(made.Endpoints, endpoint)
	}
	return made
}

func withUID(name, uid string) *corev1.Service {
	made := service(name, "http")
	made.UID = types.UID(uid)
	return made
}

func TestIdentitiesFollowTheEndpointsAndOutliveThem(t *testing.T) {
	ctx := context.Background()
	f := start(t, fake.NewClientset(settings(t, gateways), withUID("web", "1"), slice("web", "web-1"), meshPod("web-1", "web")))
	slices, pods, services := f.client.DiscoveryV1().EndpointSlices("shop"), f.client.CoreV1().Pods("shop"), f.client.CoreV1().Services("shop")
	update := func(changed *discoveryv1.EndpointSlice) {
		t.Helper()
		if _, err := slices.Update(ctx, changed, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	f.waitReady(t)
	f.waitFederation(t, contains(`"serviceAccounts":["shop/web"]`))

	// The endpoints are known before their Pod is.
	update(slice("web", "web-1", "new-1", "no-sidecar"))
	if _, err := pods.Create(ctx, meshPod("new-1", "new"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitFederation(t, contains(`"serviceAccounts":["shop/new","shop/web"]`))
	update(slice("web", "new-1"))
	f.waitFederation(t, contains(`"serviceAccounts":["shop/new"]`))

	// A namesake with another identity replaces the Pod while the watch is interrupted.
	if _, err := pods.Update(ctx, meshPod("new-1", ""), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitFederation(t, contains(`"serviceAccounts":["shop/default"]`))

	// An address without a Pod: its identity is unknown.
	update(slice("web", "new-1", ""))
	f.waitFederation(t, lacks("serviceAccounts"))
	update(slice("web", "new-1"))
	f.waitFederation(t, contains(`"serviceAccounts":["shop/default"]`))

	// Scaled to zero; something else changes, to see a document made after that.
	update(slice("web"))
	annotated := withUID("web", "1")
	annotated.Spec.Ports[0].Port = 8080
	if _, err := services.Update(ctx, annotated, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitFederation(t, contains("8080"))
	f.waitFederation(t, contains(`"serviceAccounts":["shop/default"]`))

	annotated.Annotations = map[string]string{publicservices.AccountsAnnotation: "vm"}
	if _, err := services.Update(ctx, annotated, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitFederation(t, contains(`"serviceAccounts":["shop/vm"]`))

	// A new Service of the same name starts without a past.
	if _, err := services.Update(ctx, withUID("web", "2"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitFederation(t, contains(`"serviceAccounts":[]`))
}

func TestEventsThatConcernNoPublishedServiceAreIgnored(t *testing.T) {
	ctx := context.Background()
	f := start(t, fake.NewClientset(settings(t, gateways), withUID("web", "1"), slice("web", "web-1"), meshPod("web-1", "web")))
	f.waitReady(t)
	f.waitFederation(t, contains(`["shop/web"]`))
	before := f.Documents.Federation.Current()
	for index := range 50 {
		if _, err := f.client.CoreV1().Pods("shop").Create(ctx, meshPod(fmt.Sprint("other-", index), "other"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	// Readiness changes.
	flipped := slice("web", "web-1")
	ready := false
	flipped.Endpoints[0].Conditions.Ready = &ready
	if _, err := f.client.DiscoveryV1().EndpointSlices("shop").Update(ctx, flipped, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.client.CoreV1().Services("shop").Create(ctx, withUID("last", "2"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.waitFederation(t, contains("last.shop"))
	if now := f.Documents.Federation.Current(); now.Number != before.Number+1 {
		t.Errorf("%d revisions, want one", now.Number-before.Number)
	}
}
