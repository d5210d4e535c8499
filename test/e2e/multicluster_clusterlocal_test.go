//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/test/mesh"
)

func multiclusterALabelledServiceStaysInItsCluster(t *testing.T) {
	l := meshOf(t)
	a, b := l.a, l.b
	namespace := everywhere(t, a, b)
	inA, inB := a.application(t, namespace, "db"), b.application(t, namespace, "db")
	host, fromA, fromB := a.hostname(t, namespace, "db"), a.client(t, namespace), b.client(t, namespace)
	sharedInA, sharedInB := sendsTo(host, inA, a.gatewayOf(t, b)), sendsTo(host, inB, b.gatewayOf(t, a))
	awaitView(t, fromA, "the Service has endpoints in both clusters", sharedInA)
	awaitView(t, fromB, "the Service has endpoints in both clusters", sharedInB)

	letOut := b.keepIn(t, host)
	awaitView(t, fromA, "b's endpoints are hidden from a", sendsTo(host, inA))
	awaitView(t, fromB, "b calls its own", sendsTo(host, inB))
	late := endpointOf(b.podWithSidecar(t, namespace, "db", "db-late"))
	awaitView(t, fromB, "b's new endpoint is known in b", sendsTo(host, inB, late))
	a.serviceFor(t, namespace, "marker", "db")
	b.serviceFor(t, namespace, "marker", "db")
	awaitView(t, fromA, "a has heard of b since, and not of the labelled Service",
		all(sendsTo(a.hostname(t, namespace, "marker"), inA, a.gatewayOf(t, b)), sendsTo(host, inA)))

	letOut()
	awaitView(t, fromA, "b's endpoints are shown to a again", sharedInA)
	awaitView(t, fromB, "b calls both again", sendsTo(host, inB, late, b.gatewayOf(t, a)))
}

func multiclusterALabelledNamespaceStaysInItsCluster(t *testing.T) {
	l := meshOf(t)
	a, b := l.a, l.b
	namespace := everywhere(t, a, b)
	inA, inB := a.application(t, namespace, "db"), b.application(t, namespace, "db")
	host, fromA, fromB := a.hostname(t, namespace, "db"), a.client(t, namespace), b.client(t, namespace)
	sharedInA, sharedInB := sendsTo(host, inA, a.gatewayOf(t, b)), sendsTo(host, inB, b.gatewayOf(t, a))
	awaitView(t, fromA, "the Service has endpoints in both clusters", sharedInA)
	awaitView(t, fromB, "the Service has endpoints in both clusters", sharedInB)

	label := map[string]string{v1alpha1.ClusterLocalLabel: "true"}
	b.relabel(t, namespace, label)
	awaitView(t, fromB, "b calls its own", sendsTo(host, inB))
	awaitView(t, fromA, "a, where nothing is labelled, calls both", sharedInA)
	a.relabel(t, namespace, label)
	awaitView(t, fromA, "labelled in every cluster, it is kept apart everywhere", sendsTo(host, inA))

	for _, c := range []*cluster{a, b} {
		c.relabel(t, namespace, map[string]string{v1alpha1.ClusterLocalLabel: ""})
	}
	awaitView(t, fromA, "a calls both again", sharedInA)
	awaitView(t, fromB, "b calls both again", sharedInB)
}

// keepIn labels the Service of that hostname so that it stays in its cluster, and returns what takes the label away.
func (c *cluster) keepIn(t *testing.T, host string) (letOut func()) {
	t.Helper()
	name, rest, _ := strings.Cut(host, ".")
	namespace, _, _ := strings.Cut(rest, ".")
	label := func(value string) {
		t.Helper()
		patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%s}}}`, v1alpha1.ClusterLocalLabel, value)
		services := c.typed.CoreV1().Services(namespace)
		if _, err := services.Patch(context.Background(), name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	label(`""`)
	return func() { label("null") }
}

// all is the condition that each of several holds, all of the same view.
func all(conditions ...func(*mesh.View) string) func(*mesh.View) string {
	return func(view *mesh.View) string {
		for _, condition := range conditions {
			if missing := condition(view); missing != "" {
				return missing
			}
		}
		return ""
	}
}
