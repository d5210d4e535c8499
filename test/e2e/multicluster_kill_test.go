//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestMulticlusterTheMeshIsWholeAfterAKill kills each process of one cluster, one after the other. What was known must
// stay known on both sides, and what changes afterwards must arrive, without anybody's help.
func TestMulticlusterTheMeshIsWholeAfterAKill(t *testing.T) {
	l := meshed(t, multiclusterMode)
	t.Cleanup(func() { l.awaitJoined(t) })
	whole, hit := l.clusters[0], l.clusters[1]
	namespace := everywhere(t, whole, hit)
	endpoints := map[*cluster]string{whole: whole.application(t, namespace, "api"), hit: hit.application(t, namespace, "api")}
	host := whole.hostname(t, namespace, "api")
	gateways := map[*cluster]string{whole: hit.gatewayOf(t, whole), hit: whole.gatewayOf(t, hit)}
	clients := map[*cluster]*corev1.Pod{
		whole: whole.meshedPod(t, namespace, "client", "client"), hit: hit.meshedPod(t, namespace, "client", "client"),
	}
	processes := map[string]bool{}
	for _, process := range hit.described(t).Processes {
		processes[process.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(processes)) {
		t.Run(name, func(t *testing.T) {
			hit.kill(t, name)
			hit.awaitAPI(t)
			// Made after the kill, in either cluster: a Service of the Pods that are there.
			for _, c := range []*cluster{whole, hit} {
				c.serviceFor(t, namespace, "after-"+name+"-in-"+c.name, "api")
			}
			for _, pair := range []struct{ c, peer *cluster }{{whole, hit}, {hit, whole}} {
				c, peer := pair.c, pair.peer
				c.awaitMesh(t, defaultIstio())
				sidecar := c.sidecar(t, clients[c], defaultIstio())
				await(t, sidecar, "in "+c.name+" the Service has endpoints in both clusters", sendsTo(host, endpoints[c], gateways[peer]))
				awaitWithin(t, scheduled, sidecar, "the Service that "+peer.name+" has now arrives in "+c.name,
					sendsTo(c.hostname(t, namespace, "after-"+name+"-in-"+peer.name), gateways[peer]))
				await(t, sidecar, "the Service that "+c.name+" has now arrives there",
					sendsTo(c.hostname(t, namespace, "after-"+name+"-in-"+c.name), endpoints[c]))
			}
			l.awaitJoined(t)
		})
	}
}

// kill the process without a word, and wait until the lab has started it again.
func (c *cluster) kill(t *testing.T, name string) {
	t.Helper()
	pid := c.pid(t, name)
	if pid == 0 {
		t.Fatalf("lab.json has no process %s of %s", name, c.name)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, restarted, name+" of "+c.name+" is started again", func() string {
		if now := c.pid(t, name); now == pid || now == 0 {
			return fmt.Sprintf("its pid is %d", now)
		}
		return ""
	})
}

// awaitAPI waits until the API server answers and has its store.
func (c *cluster) awaitAPI(t *testing.T) {
	t.Helper()
	eventually(t, restarted, "the API server of "+c.name+" is ready", func() string {
		ctx, cancel := context.WithTimeout(context.Background(), prompt)
		defer cancel()
		var status int
		err := c.typed.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&status).Error()
		if err != nil || status != http.StatusOK {
			return fmt.Sprintf("status %d (%v)", status, err)
		}
		return ""
	})
}

// serviceFor makes a Service with an HTTP port 80 for the Pods of an application that is there.
func (c *cluster) serviceFor(t *testing.T, namespace, name, app string) {
	t.Helper()
	_, err := c.typed.CoreV1().Services(namespace).Create(context.Background(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": app},
			Ports:    []corev1.ServicePort{{Name: "http-web", Port: 80, TargetPort: intstr.FromInt32(applicationPort)}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}
