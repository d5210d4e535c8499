//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/rand"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// traffic is what the tables about requests share: applications of two clusters
// that are peers. Here serves, There calls. Rows leave the applications as they are.
type traffic struct{ Here, There *side }

// side is one of the clusters. Shop and Yard are namespaces of the mesh, whose
// names are the same in both clusters; Outside is not of the mesh.
type side struct {
	*cluster
	Domain              string
	Shop, Yard, Outside string
	pods                map[string]*insider
}

var sharedTraffic struct {
	once sync.Once
	made *traffic
}

// trafficOf the lab: it is made for the first test that wants it, and remains for all of the process.
func trafficOf(t *testing.T) *traffic {
	t.Helper()
	sharedTraffic.once.Do(func() { sharedTraffic.made = newTraffic(t) })
	if sharedTraffic.made == nil {
		t.Fatal("the applications that all tests of traffic share could not be started")
	}
	return sharedTraffic.made
}

// closeTraffic removes what trafficOf has made.
func closeTraffic() error {
	var failed error
	if f := sharedTraffic.made; f != nil {
		for _, s := range []*side{f.Here, f.There} {
			for _, namespace := range []string{s.Shop, s.Yard, s.Outside} {
				failed = errors.Join(failed, s.typed.CoreV1().Namespaces().Delete(context.Background(), namespace, metav1.DeleteOptions{}))
			}
		}
	}
	return failed
}

// application of the fixture: its Pod, by the name of the Pod.
type application struct{ name, namespace, app, version, account string }

func newTraffic(t *testing.T) *traffic {
	t.Helper()
	awaitPeers(t)
	suite.a.awaitMesh(t, defaultIstio())
	suite.b.awaitMesh(t, defaultIstio())
	suffix := rand.String(5)
	f := &traffic{Here: newSide(t, suite.a, suffix), There: newSide(t, suite.b, suffix)}
	callers := func(s *side) []application {
		return []application{
			{"client", s.Shop, "client", "", "default"}, {"auditor", s.Shop, "auditor", "", "auditor"}, {"distant", s.Yard, "distant", "", "default"},
		}
	}
	here := append(callers(f.Here),
		application{"stranger", f.Here.Outside, "stranger", "", "default"},
		application{"guarded", f.Here.Shop, "guarded", "", "default"},
		application{"api-v1", f.Here.Shop, "api", "v1", "default"},
		application{"api-v2", f.Here.Shop, "api", "v2", "default"},
	)
	f.Here.beginAll(t, here)
	f.There.beginAll(t, callers(f.There))
	f.Here.enter(t)
	f.There.enter(t)
	for _, name := range []string{"guarded", "api"} {
		f.Here.serveAs(t, name, name, true)
		f.Here.awaitPublished(t, f.There, name)
	}
	return f
}

func newSide(t *testing.T, of *cluster, suffix string) *side {
	t.Helper()
	s := &side{
		cluster: of, Domain: of.described(t).ClusterDomain, pods: map[string]*insider{},
		Shop: "shop-" + suffix, Yard: "yard-" + suffix, Outside: "outside-" + suffix,
	}
	for namespace, labels := range map[string]map[string]string{s.Shop: inMesh, s.Yard: inMesh, s.Outside: nil} {
		made := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: labels}}
		if _, err := of.typed.CoreV1().Namespaces().Create(context.Background(), made, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "auditor"}}
	if _, err := of.typed.CoreV1().ServiceAccounts(s.Shop).Create(context.Background(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// beginAll has the applications' Pods start.
func (s *side) beginAll(t *testing.T, applications []application) {
	t.Helper()
	for _, one := range applications {
		pod := newPod(one.namespace, one.app, map[string]string{"version": one.version}, nil)
		pod.Name, pod.Spec.ServiceAccountName = one.name, one.account
		s.begin(t, pod)
		s.pods[one.name] = &insider{Pod: pod}
	}
}

// enter the Pods once they are ready.
func (s *side) enter(t *testing.T) {
	t.Helper()
	for name, begun := range s.pods {
		s.pods[name] = s.enterPod(t, s.awaitReadyPod(t, begun.Pod))
	}
}

// Pod of that name.
func (s *side) Pod(name string) *insider {
	if found := s.pods[name]; found != nil {
		return found
	}
	panic("the fixture has no Pod " + name)
}

// IP of a Pod.
func (s *side) IP(name string) string { return s.Pod(name).Status.PodIP }

// Gateway is the address of the cluster's gateway among its Pods.
func (s *side) Gateway() (string, error) {
	pod, err := s.readyPod(gateway)
	if err != nil {
		return "", err
	}
	return pod.Status.PodIP, nil
}

// Host is the hostname of a Service in the shop.
func (s *side) Host(service string) string {
	return fmt.Sprintf("%s.%s.svc.%s", service, s.Shop, s.Domain)
}

// identity of a ServiceAccount in the shop.
func (s *side) identity(account string) string {
	return fmt.Sprintf("spiffe://%s/ns/%s/sa/%s", s.Domain, s.Shop, account)
}

// serveAs makes a Service in the shop for the Pods with label app, and publishes it or not. It returns its hostname.
func (s *side) serveAs(t *testing.T, name, app string, published bool) string {
	t.Helper()
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": app},
		Ports: []corev1.ServicePort{
			{Name: "http-web", Port: 80, TargetPort: intstr.FromInt32(applicationPort)},
			{Name: "tcp-raw", Port: rawPort, TargetPort: intstr.FromInt32(rawPort)},
		},
	}}
	if published {
		service.Labels = map[string]string{v1alpha1.PublicServiceLabel: ""}
	}
	if _, err := s.typed.CoreV1().Services(s.Shop).Create(context.Background(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return s.Host(name)
}

// awaitPublished waits until the peer's client is answered by the Service.
func (s *side) awaitPublished(t *testing.T, peer *side, service string) {
	t.Helper()
	eventually(t, scheduled, "Service "+service+" answers the peer", func() string {
		got, err := peer.Pod("client").get("http://" + s.Host(service) + "/")
		if err != nil {
			return err.Error()
		}
		return httpStatus(200)(got)
	})
}
