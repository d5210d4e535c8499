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

	"github.com/deckhouse-mesh/istio/test/mesh"
)

// multiclusterTheMeshIsWholeAfterAKill kills each process of a cluster, one after the other. What was known must
// stay known on both sides, and what changes afterwards must arrive, without anybody's help. They are killed in a
// different cluster each: istiod waits longer each time that the same neighbour breaks off, up to a minute.
func multiclusterTheMeshIsWholeAfterAKill(t *testing.T) {
	l := meshed(t, multiclusterMode)
	t.Cleanup(func() { l.awaitJoined(t) })
	namespace := everywhere(t, l.clusters...)
	endpoints, clients, processes := map[*cluster]string{}, map[*cluster]*corev1.Pod{}, map[string]bool{}
	for _, c := range l.clusters {
		endpoints[c] = c.application(t, namespace, "api")
		clients[c] = c.meshedPod(t, namespace, "client", "client")
		for _, process := range c.described(t).Processes {
			processes[process.Name] = true
		}
	}
	host := l.clusters[0].hostname(t, namespace, "api")
	shared := func(c *cluster) func(*mesh.View) string {
		addresses := []string{endpoints[c]}
		for _, peer := range l.clusters {
			if peer != c {
				addresses = append(addresses, c.gatewayOf(t, peer))
			}
		}
		return sendsTo(host, addresses...)
	}
	for _, c := range l.clusters {
		await(t, c.sidecar(t, clients[c], defaultIstio()), c.name+" knows the endpoints of all", shared(c))
	}
	for i, name := range slices.Sorted(maps.Keys(processes)) {
		hit, whole := l.clusters[i%len(l.clusters)], l.clusters[(i+1)%len(l.clusters)]
		t.Run(name+" of "+hit.name, func(t *testing.T) {
			hit.kill(t, name)
			hit.awaitAPI(t)
			made := map[*cluster]string{}
			for _, c := range []*cluster{hit, whole} {
				made[c] = c.serviceFor(t, namespace, "after-"+name+"-in-"+c.name, "api")
			}
			for _, pair := range []struct{ c, peer *cluster }{{hit, whole}, {whole, hit}} {
				c, peer := pair.c, pair.peer
				c.awaitTold(t, clients[c], c.name+" knows what it knew, its own new Service, and that of "+peer.name, all(
					shared(c), sendsTo(made[c], endpoints[c]), sendsTo(made[peer], c.gatewayOf(t, peer)),
				))
			}
			l.awaitJoined(t)
		})
	}
}

// multiclusterAnIstiodThatStartsWhileANeighbourIsAwayReadsItLater: it cannot know what the one before it had
// learned, but it serves its own cluster meanwhile, and reads the neighbour as soon as that is there.
func multiclusterAnIstiodThatStartsWhileANeighbourIsAwayReadsItLater(t *testing.T) {
	l := meshed(t, multiclusterMode)
	a, b, c := l.clusters[0], l.clusters[1], l.clusters[2]
	namespace := everywhere(t, a, b, c)
	own := a.application(t, namespace, "api")
	b.application(t, namespace, "api")
	c.application(t, namespace, "api")
	host, pod := a.hostname(t, namespace, "api"), a.meshedPod(t, namespace, "client", "client")
	awaited := sendsTo(host, own, a.gatewayOf(t, b), a.gatewayOf(t, c))
	a.awaitTold(t, pod, "the Service has endpoints in all clusters", awaited)

	restore := l.cut(t, b)
	a.kill(t, istiodOf(defaultIstio()))
	a.awaitTold(t, pod, "this cluster and the other neighbour are served without the one that is away", sendsTo(host, own, a.gatewayOf(t, c)))
	restore()
	a.awaitTold(t, pod, "the neighbour is read when it is back", awaited)
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
	c.awaitAnother(t, name, pid)
}

// awaitAnother waits until another process has that name, and the one with the pid is gone.
func (c *cluster) awaitAnother(t *testing.T, name string, pid int) {
	t.Helper()
	eventually(t, restarted, "there is another process "+name+" of "+c.name, func() string {
		var present []int
		for _, process := range c.described(t).Processes {
			if process.Name == name && process.PID != 0 {
				present = append(present, process.PID)
			}
		}
		if len(present) == 0 || slices.Contains(present, pid) {
			return fmt.Sprintf("of that name are %v", present)
		}
		return ""
	})
}

// awaitTold waits until istiod, which may be starting just now, tells the Pod's sidecar what the condition wants.
func (c *cluster) awaitTold(t *testing.T, pod *corev1.Pod, what string, condition func(*mesh.View) string) {
	t.Helper()
	version := defaultIstio()
	ctx, cancel := context.WithTimeout(t.Context(), scheduled)
	defer cancel()
	eventually(t, scheduled, what, func() string {
		connection, err := mesh.DialPlaintext(c.described(t).Istiod[version.Revision()].XDS)
		if err != nil {
			return err.Error()
		}
		defer func() { _ = connection.Close() }()
		sidecar, err := mesh.Connect(connection, c.proxyOf(t, pod, version))
		if err != nil {
			return err.Error()
		}
		defer sidecar.Close()
		if _, err := sidecar.Await(ctx, condition); err != nil {
			return err.Error()
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

// serviceFor makes a Service with an HTTP port 80 for the Pods of an application that is there, and returns its hostname.
func (c *cluster) serviceFor(t *testing.T, namespace, name, app string) string {
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
	return c.hostname(t, namespace, name)
}
