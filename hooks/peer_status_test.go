package hooks

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

var _ = Describe("The status of resources for peers", func() {
	two := func(hostile, honest *aPeer) []string {
		return []string{
			hostile.resource(""),
			strings.ReplaceAll(strings.ReplaceAll(honest.resource(""), "cluster-b", "cluster-c"), "uid-b", "uid-c"),
			ownKeypair(), versionsConfigMap("federation", nil),
		}
	}
	// reject has the API server reject writes of the resource's status, and counts them.
	reject := func(r *run, name string, blocked *bool, attempts *int) {
		r.KubeClient().(*dynamicfake.FakeDynamicClient).PrependReactor("patch", "istiofederations", func(action clienttesting.Action) (bool, runtime.Object, error) {
			if action.(clienttesting.PatchAction).GetName() != name || !*blocked {
				return false, nil, nil
			}
			*attempts++
			return true, nil, errors.New("etcdserver: request is too large")
		})
	}

	It("is written for the others when the API server rejects that of one, which is tried again later each time", func() {
		hostile, honest := startPeerCalled("b"), startPeerCalled("c")
		r := newRun(federationDiscovery(peer.NewClient(), nil), federationSettings).given(two(hostile, honest)...)
		attempts, blocked := 0, true
		reject(r, "cluster-b", &blocked, &attempts)
		r.succeeds()
		Expect(readyOf(r, "IstioFederation", "cluster-c")).To(HaveKeyWithValue("status", "True"))
		Expect(attempts).To(Equal(1))
		Expect(r.eventsOf("IstioFederation", "StatusNotWritten")).To(ConsistOf(And(ContainSubstring("request is too large"), ContainSubstring("Other peers are not affected"))))
		Expect(r.series(peerReadyMetric, "name")).To(And(HaveKeyWithValue("cluster-b", 0.0), HaveKeyWithValue("cluster-c", 1.0)))

		asked := hostile.requests.Load()
		r.report("federation", "cluster-b", "-.changed")
		r.succeeds()
		Expect(hostile.requests.Load()).To(Equal(asked), "not with each change that it reports")

		r.clock.Advance(time.Minute)
		r.succeeds()
		Expect(attempts).To(Equal(2))
		r.clock.Advance(50 * time.Second)
		r.succeeds()
		Expect(attempts).To(Equal(2), "twice as long")

		blocked = false
		r.clock.Advance(time.Minute)
		r.succeeds()
		Expect(readyOf(r, "IstioFederation", "cluster-b")).To(HaveKeyWithValue("status", "True"))
	})

	It("is written as soon as an API server that was away is back, with nobody blamed", func() {
		exporter := startPeer()
		r := newRun(federationDiscovery(peer.NewClient(), nil), federationSettings).given(exporter.resource(""), ownKeypair(), versionsConfigMap("federation", nil))
		away := true
		r.KubeClient().(*dynamicfake.FakeDynamicClient).PrependReactor("patch", "istiofederations", func(clienttesting.Action) (bool, runtime.Object, error) {
			return away, nil, &url.Error{Op: "Patch", URL: "https://10.96.0.1", Err: errors.New("connection refused")}
		})
		for range 5 {
			r.DependencyContainer().SetClock(r.clock)
			r.RunHook()
			Expect(r.HookError()).To(MatchError(ContainSubstring("connection refused")), "so that it is run again")
		}
		Expect(r.eventsOf("IstioFederation", "StatusNotWritten")).To(BeEmpty())
		away = false
		r.succeeds()
		Expect(readyOf(r, "IstioFederation", "cluster-b")).To(HaveKeyWithValue("status", "True"))
	})

	It("is written where Events are rejected, by a quota for example", func() {
		exporter := startPeer()
		r := newRun(federationDiscovery(peer.NewClient(), nil), federationSettings).given(exporter.resource(""), ownKeypair(), versionsConfigMap("federation", nil))
		r.KubeClient().(*dynamicfake.FakeDynamicClient).PrependReactor("create", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "istio", errors.New("exceeded quota"))
		})
		r.succeeds()
		Expect(readyOf(r, "IstioFederation", "cluster-b")).To(HaveKeyWithValue("status", "True"))
		Expect(r.LoggerOutput().String()).To(ContainSubstring("exceeded quota"))
	})

	It("has an Event for each transition, but not for those of a peer whose answers alternate without end", func() {
		hostile := startPeer()
		r := newRun(federationDiscovery(peer.NewClient(), nil), federationSettings).given(hostile.resource(""), ownKeypair(), versionsConfigMap("federation", nil)).succeeds()
		honest := hostile.documents["/metadata/"+metadata.PublicPath].(metadata.Public)
		for number := range 60 {
			public := honest
			if number%2 == 0 {
				public.TrustDomain = fmt.Sprintf("d%d.example", number)
			}
			hostile.documents["/metadata/"+metadata.PublicPath] = public
			r.clock.Advance(time.Second)
			r.report("federation", "cluster-b", fmt.Sprint("-.", number))
			r.succeeds()
		}
		events := len(r.eventsOf("IstioFederation", "Joined")) + len(r.eventsOf("IstioFederation", "PeerTrustDomainMismatch"))
		Expect(events).To(And(BeNumerically(">", 2), BeNumerically("<=", transitionBurst+2)))
	})

	It("retains what was learned before when the resource would be too large", func() {
		hostile := startPeer()
		large := strings.Replace(hostile.resource(""), "    ca: |\n", "    ca: |\n"+strings.Repeat("      # "+strings.Repeat("x", 1000)+"\n", 1300), 1)
		r := newRun(federationDiscovery(peer.NewClient(), nil), federationSettings).given(large, ownKeypair(), versionsConfigMap("federation", nil)).succeeds()
		Expect(readyOf(r, "IstioFederation", "cluster-b")).To(HaveKeyWithValue("status", "True"))

		hostile.documents["/metadata/"+metadata.FederationPath] = metadata.Federation{
			IngressGateways: []metadata.IngressGateway{{Address: "192.0.2.1", Port: 15443}},
			PublicServices:  manyServices("cluster-b.local", 3_000),
		}
		r.clock.Advance(time.Minute)
		r.succeeds()
		Expect(readyOf(r, "IstioFederation", "cluster-b")).To(And(
			HaveKeyWithValue("reason", "PeerMetadataTooLarge"), HaveKeyWithValue("message", ContainSubstring("the limit is"))))
		Expect(r.series(peerReadyMetric, "name")).To(HaveKeyWithValue("cluster-b", 0.0), "the metric says what the condition says")
		r.report("federation", "cluster-b", "-.again")
		Expect(r.succeeds().statusWrites()).To(BeEmpty(), "the same answer again is not written again")
		text, err := r.KubernetesGlobalResource("IstioFederation", "cluster-b").MarshalJSON()
		Expect(err).NotTo(HaveOccurred())
		Expect(string(text)).To(ContainSubstring("api.shop.svc.cluster-b.local"))
	})
})

// manyServices of a peer, whose names compress badly.
func manyServices(domain string, count int) []metadata.PublicService {
	services := make([]metadata.PublicService, count)
	for index := range services {
		sum := sha256.Sum256([]byte{byte(index), byte(index >> 8)})
		services[index] = metadata.PublicService{
			Hostname: "s" + hex.EncodeToString(sum[:])[:60] + ".shop.svc." + domain,
			Ports:    []metadata.ServicePort{{Name: "http", Port: 80, Protocol: "HTTP"}},
		}
	}
	return services
}

// eventsOf lists the messages of the Events with that reason about resources of a kind.
func (r *run) eventsOf(kind, reason string) []string {
	list, err := r.KubeClient().Resource(eventResource).List(GinkgoT().Context(), metav1.ListOptions{})
	Expect(err).NotTo(HaveOccurred())
	var messages []string
	for _, item := range list.Items {
		var event corev1.Event
		Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &event)).To(Succeed())
		if event.InvolvedObject.Kind == kind && event.Reason == reason {
			messages = append(messages, event.Message)
		}
	}
	return messages
}
