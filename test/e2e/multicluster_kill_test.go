//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/deckhouse-mesh/istio/test/mesh"
)

// victim is a program that a test kills.
type victim struct {
	name string
	kill func(*testing.T, *cluster)
}

// victims are the programs of a cluster that a mesh depends on: those of the nodes, and those in Pods.
func victims() []victim {
	var all []victim
	for _, program := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kubelet"} {
		all = append(all, victim{program, func(t *testing.T, c *cluster) { c.killOnNode(t, program) }})
	}
	for _, one := range []component{apiProxy, exporter, watcher, gateway, ingressController, istiodOf(defaultIstio()), operator} {
		all = append(all, victim{one.name, func(t *testing.T, c *cluster) { c.kill(t, one) }})
	}
	return all
}

// multiclusterTheMeshRecoversAfterAKill kills programs of a cluster, one after the other. What was known must stay known
// on both sides, and what changes afterwards must arrive, without anybody's help. They are killed in turns in both
// clusters: istiod waits longer each time that the same peer breaks off, up to a minute.
func multiclusterTheMeshRecoversAfterAKill(t *testing.T) {
	l := meshOf(t)
	t.Cleanup(func() { l.awaitPeers(t) })
	both := []*cluster{l.a, l.b}
	namespace := everywhere(t, both...)
	endpoints, clients := map[*cluster]string{}, map[*cluster]*corev1.Pod{}
	for _, c := range both {
		endpoints[c] = c.application(t, namespace, "api")
		clients[c] = c.podWithSidecar(t, namespace, "client", "client")
	}
	host := l.a.hostname(t, namespace, "api")
	shared := func(c, peer *cluster) func(*mesh.View) string {
		return sendsTo(host, endpoints[c], c.gatewayOf(t, peer))
	}
	for i, one := range victims() {
		hit, whole := both[i%2], both[(i+1)%2]
		t.Run(one.name+" of "+hit.name, func(t *testing.T) {
			one.kill(t, hit)
			hit.awaitAPI(t)
			made := map[*cluster]string{}
			for _, c := range both {
				made[c] = c.serviceFor(t, namespace, "after-"+one.name+"-in-"+c.name, "api")
			}
			for _, pair := range []struct{ c, peer *cluster }{{hit, whole}, {whole, hit}} {
				c, peer := pair.c, pair.peer
				c.awaitIstiodSends(t, clients[c], c.name+" knows what it knew, its own new Service, and that of "+peer.name, all(
					shared(c, peer), sendsTo(made[c], endpoints[c]), sendsTo(made[peer], c.gatewayOf(t, peer)),
				))
				c.awaitAnswer(t, peer.name+"'s new Service answers", clients[c], webURL(made[peer]), httpStatus(http.StatusOK))
			}
			if one.name == operator.name {
				hit.awaitOperatorActs(t, made[hit])
			}
			l.awaitPeers(t)
		})
	}
}

// awaitOperatorActs waits until what people change of the Service with that hostname takes effect, there and back.
func (c *cluster) awaitOperatorActs(t *testing.T, host string) {
	t.Helper()
	letOut := c.keepIn(t, host)
	named := func() bool { return strings.Contains(c.meshConfiguration(t), host) }
	eventually(t, restarted, "the operator of "+c.name+" acts on a label", func() string { return unless(named(), "%s is not cluster-local", host) })
	letOut()
	eventually(t, restarted, "and on its removal", func() string { return unless(!named(), "%s is cluster-local", host) })
}

// multiclusterAnIstiodThatStartsWhileAPeerIsAwayReadsItLater: it cannot know what the former istiod had
// learned, but it serves its own cluster meanwhile, and reads the peer as soon as that answers.
func multiclusterAnIstiodThatStartsWhileAPeerIsAwayReadsItLater(t *testing.T) {
	l := meshOf(t)
	a, b := l.a, l.b
	namespace := everywhere(t, a, b)
	own := a.application(t, namespace, "api")
	b.application(t, namespace, "api")
	host, pod := a.hostname(t, namespace, "api"), a.podWithSidecar(t, namespace, "client", "client")
	awaited := sendsTo(host, own, a.gatewayOf(t, b))
	a.awaitIstiodSends(t, pod, "the Service has endpoints in both clusters", awaited)

	mend := l.cut(t)
	a.kill(t, istiodOf(defaultIstio()))
	a.awaitIstiodSends(t, pod, "this cluster is served without the peer that is away", sendsTo(host, own))
	mend()
	a.awaitIstiodSends(t, pod, "the peer is read when it is back", awaited)
}

// awaitIstiodSends waits until istiod, which may be starting just now, sends the Pod's sidecar what the condition wants.
func (c *cluster) awaitIstiodSends(t *testing.T, pod *corev1.Pod, what string, condition func(*mesh.View) string) {
	t.Helper()
	version := defaultIstio()
	ctx, cancel := context.WithTimeout(t.Context(), scheduled)
	defer cancel()
	eventually(t, scheduled, what, func() string {
		address, err := c.tryAddress(istiodOf(version), plaintextXDS)
		if err != nil {
			return err.Error()
		}
		connection, err := mesh.DialPlaintext(address)
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

// serviceFor makes a Service with an HTTP port 80 for the Pods of an existing application, and returns its hostname.
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
