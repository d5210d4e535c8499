//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

const (
	// manyLabels with the longest names would make the mesh's ConfigMap larger than Kubernetes takes.
	manyLabels = 7_200
	// meshBytes is what cluster-local hosts leave of a ConfigMap's MiB.
	meshBytes = 512 << 10
)

func multiclusterATenantsLabelsStopNobody(t *testing.T) {
	l := meshOf(t)
	var tenant string
	t.Cleanup(func() { // thousands of Services go, which the next test must not wait for
		eventually(t, 5*time.Minute, "the tenant's namespace is gone", func() string {
			_, err := l.a.typed.CoreV1().Namespaces().Get(context.Background(), tenant, metav1.GetOptions{})
			return unless(apierrors.IsNotFound(err), "it is there: %v", err)
		})
	})
	tenant = l.a.namespace(t)
	other := l.a.namespace(t)
	l.a.labelMany(t, tenant, manyLabels)
	domain := l.a.described(t).ClusterDomain
	eventually(t, scheduled, "the whole namespace stays in its cluster", func() string {
		if !strings.Contains(l.a.meshConfiguration(t), "*."+tenant+".svc."+domain) {
			return "the mesh's configuration does not name it"
		}
		return ""
	})
	l.a.awaitEvent(t, tenant, "ClusterLocalNamespace", "Label the namespace instead")

	l.a.service(t, other, "db")
	host := l.a.hostname(t, other, "db")
	letOut := l.a.keepIn(t, host)
	eventually(t, scheduled, "the label of another namespace counts", func() string {
		if !strings.Contains(l.a.meshConfiguration(t), host) {
			return "the mesh's configuration does not name " + host
		}
		return ""
	})
	l.a.works(t, l.stranger)
	letOut()
	eventually(t, scheduled, "the label of another namespace is taken away", func() string {
		if strings.Contains(l.a.meshConfiguration(t), host) {
			return "the mesh's configuration names " + host
		}
		return ""
	})
	if mesh := l.a.meshConfiguration(t); len(mesh) > meshBytes || !strings.Contains(mesh, "*."+tenant) {
		t.Errorf("the mesh's configuration has %d bytes, and names the namespace: %v", len(mesh), strings.Contains(mesh, "*."+tenant))
	}
}

// labelMany makes that many Services with the label and long names, a few at a time.
func (c *cluster) labelMany(t *testing.T, namespace string, count int) {
	t.Helper()
	numbers, workers := make(chan int), sync.WaitGroup{}
	for range 8 {
		workers.Go(func() {
			for number := range numbers {
				err := retry.OnError(slowly, func(error) bool { return true }, func() error {
					_, err := c.typed.CoreV1().Services(namespace).Create(context.Background(), &corev1.Service{
						ObjectMeta: metav1.ObjectMeta{
							Name:   fmt.Sprintf("%s-%05d", strings.Repeat("s", 57), number),
							Labels: map[string]string{v1alpha1.ClusterLocalLabel: ""},
						},
						Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
					}, metav1.CreateOptions{})
					if apierrors.IsAlreadyExists(err) {
						return nil // it was made, and the answer was lost
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for number := range count {
		numbers <- number
	}
	close(numbers)
	workers.Wait()
}
