package syncer_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/federation/syncer"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

var (
	networking       = schema.GroupVersion{Group: "networking.istio.io", Version: "v1"}
	serviceEntries   = networking.WithResource("serviceentries")
	destinationRules = networking.WithResource("destinationrules")
)

// log stores messages: errors, and for information.
type log struct {
	mu               sync.Mutex
	errors, informed []string
}

func (l *log) Info(message string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.informed = append(l.informed, message+" "+fmt.Sprint(args...))
}

func (l *log) infos() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{}, l.informed...)
}

func (l *log) Error(message string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors = append(l.errors, message+" "+fmt.Sprint(args...))
}

func (l *log) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string{}, l.errors...)
}

type world struct {
	*WithT
	client *dynamicfake.FakeDynamicClient
	syncer *syncer.Syncer
	log    *log
}

// given starts a syncer in a cluster with those objects; which ends with the test.
func given(t *testing.T, objects ...runtime.Object) world {
	t.Helper()
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(10 * time.Second)
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		serviceEntries: "ServiceEntryList", destinationRules: "DestinationRuleList",
	}, objects...)
	w := world{g, client, nil, &log{}}
	w.syncer = syncer.New(client, w.log)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); w.syncer.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	g.Expect(w.syncer.WaitForCache(ctx)).To(Succeed())
	return w
}

func peer(name string, services ...string) federation.Peer {
	peer := federation.Peer{Name: name, TrustDomain: name + ".local", Gateways: []metadata.IngressGateway{{Address: "192.0.2.1", Port: 15443}}}
	for _, service := range services {
		peer.Services = append(peer.Services, metadata.PublicService{
			Hostname: service + ".shop.svc." + name + ".local", Ports: []metadata.ServicePort{{Name: "http", Port: 80, Protocol: "HTTP"}},
		})
	}
	return peer
}

func (w world) want(peers ...federation.Peer) {
	_, _, err := w.syncer.Sync(peers)
	w.Expect(err).NotTo(HaveOccurred())
}

func (w world) entries() dynamic.ResourceInterface {
	return w.client.Resource(serviceEntries).Namespace("d8-istio")
}

// hosts by name of the ServiceEntries that are there.
func (w world) hosts() map[string]string {
	list, err := w.entries().List(context.Background(), metav1.ListOptions{})
	w.Expect(err).NotTo(HaveOccurred())
	hosts := map[string]string{}
	for _, item := range list.Items {
		all, _, _ := unstructured.NestedStringSlice(item.Object, "spec", "hosts")
		hosts[item.GetName()] = all[0]
	}
	return hosts
}

func (w world) names() (names []string) {
	for name := range w.hosts() {
		names = append(names, name)
	}
	return names
}

// written counts the requests that change something.
func (w world) written() (count int) {
	for _, action := range w.client.Actions() {
		if verb := action.GetVerb(); verb != "list" && verb != "watch" && verb != "get" {
			count++
		}
	}
	return count
}

func TestServicesOfPeersAreWritten(t *testing.T) {
	w := given(t)
	w.want(peer("b", "api", "db"), peer("c", "api"))
	w.Eventually(w.hosts).Should(Equal(map[string]string{
		"api.shop.b": "api.shop.svc.b.local", "db.shop.b": "db.shop.svc.b.local", "api.shop.c": "api.shop.svc.c.local",
	}))
	w.Eventually(w.written).Should(Equal(6), "an object for each kind")

	w.want(peer("b", "api", "new"), peer("c", "api"))
	w.Eventually(w.names).Should(ConsistOf("api.shop.b", "new.shop.b", "api.shop.c"))
	w.Eventually(w.written).Should(Equal(10))
	w.syncer.Compare()
	w.want(peer("b", "api", "new"), peer("c", "api"))
	w.Consistently(w.written, 200*time.Millisecond).Should(Equal(10), "equal is silent")

	w.want()
	w.Eventually(w.names).Should(BeEmpty())
}

func TestExistingObjectsThatAreAsWantedAreNotWritten(t *testing.T) {
	right := federation.Objects([]federation.Peer{peer("b", "api")})
	stray := federation.Objects([]federation.Peer{peer("deleted", "api")})
	var present []runtime.Object
	for _, object := range append(right, stray...) {
		present = append(present, object.Unstructured())
	}
	w := given(t, present...)
	w.Consistently(w.written, 100*time.Millisecond).Should(BeZero(), "before the first Sync")
	w.want(peer("b", "api"))
	w.Eventually(w.names).Should(ConsistOf("api.shop.b"))
	w.Eventually(w.written).Should(Equal(2), "only the two that are not wanted")
}

func TestForeignChangesAreReverted(t *testing.T) {
	ctx := context.Background()
	for name, do := range map[string]func(w world) error{
		"deleting": func(w world) error {
			return w.entries().Delete(ctx, "api.shop.b", metav1.DeleteOptions{})
		},
		"editing the spec": func(w world) error {
			_, err := w.entries().Patch(ctx, "api.shop.b", "application/merge-patch+json", []byte(`{"spec":{"hosts":["evil.example"],"exportTo":["."]}}`), metav1.PatchOptions{})
			return err
		},
		"claiming it for another peer": func(w world) error {
			_, err := w.entries().Patch(ctx, "api.shop.b", "application/merge-patch+json", []byte(`{"metadata":{"annotations":{"federation.istio.deckhouse.io/peer":"c"}}}`), metav1.PatchOptions{})
			return err
		},
		"making one for a service that is not there": func(w world) error {
			_, err := w.entries().Create(ctx, federation.Objects([]federation.Peer{peer("b", "more")})[0].Unstructured(), metav1.CreateOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := given(t)
			w.want(peer("b", "api"))
			w.Eventually(w.written).Should(Equal(2))
			w.Expect(do(w)).To(Succeed())
			w.Eventually(w.written).Should(Equal(4))
			w.Eventually(w.hosts).Should(Equal(map[string]string{"api.shop.b": "api.shop.svc.b.local"}))
			entry, err := w.entries().Get(ctx, "api.shop.b", metav1.GetOptions{})
			w.Expect(err).NotTo(HaveOccurred())
			w.Expect(readBack(federation.Read(entry))).To(Equal(readBack(federation.Objects([]federation.Peer{peer("b", "api")})[0])))
		})
	}
}

// readBack is an object as the API server would return it.
func readBack(object federation.Object) federation.Object {
	encoded, err := object.Unstructured().MarshalJSON()
	if err != nil {
		panic(err)
	}
	read := &unstructured.Unstructured{}
	if err := read.UnmarshalJSON(encoded); err != nil {
		panic(err)
	}
	return federation.Read(read)
}

func TestAnObjectOfAnotherOwnerIsNotChangedAndIsReported(t *testing.T) {
	person := federation.Objects([]federation.Peer{peer("b", "api")})[0].Unstructured()
	person.SetLabels(nil)
	w := given(t, person)
	w.want(peer("b", "api", "db"))
	conflicts := func() (names []string) {
		for _, object := range w.syncer.Problems().NameConflicts {
			names = append(names, object.Kind+" "+object.Name+" for "+object.Peer)
		}
		return names
	}
	w.Expect(conflicts()).To(ConsistOf("ServiceEntry api.shop.b for b"), "at once")
	w.Eventually(w.written).Should(Equal(3), "the three that are free")
	w.Expect(w.entries().Delete(context.Background(), "api.shop.b", metav1.DeleteOptions{})).To(Succeed())
	w.Eventually(w.written).Should(Equal(5), "the person's deletion, and what it made room for")
	w.Eventually(conflicts).Should(BeEmpty())
}

func TestAnObjectThatFailsDelaysNoOtherAndIsRetried(t *testing.T) {
	w := given(t)
	var mu sync.Mutex
	broken := true
	w.client.PrependReactor("create", "serviceentries", func(action k8stesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		name := action.(k8stesting.CreateAction).GetObject().(*unstructured.Unstructured).GetName()
		if broken && name == "bad.shop.b" {
			return true, nil, errors.New("denied by a webhook")
		}
		return false, nil, nil
	})
	w.want(peer("b", "api", "bad", "db"))
	w.Eventually(w.names).Should(ConsistOf("api.shop.b", "db.shop.b"))
	w.Eventually(func() int { return w.syncer.Problems().Unwritten }).Should(Equal(1))
	w.Expect(w.log.all()).To(ContainElement(And(ContainSubstring("bad.shop.b"), ContainSubstring("denied by a webhook"))))
	mu.Lock()
	broken = false
	mu.Unlock()
	w.Eventually(w.names).Should(ConsistOf("api.shop.b", "bad.shop.b", "db.shop.b"))
	w.Eventually(func() int { return w.syncer.Problems().Unwritten }).Should(BeZero())
}

func TestNothingIsWrittenWithoutTheNamespace(t *testing.T) {
	w := given(t)
	w.client.PrependReactor("create", "*", func(k8stesting.Action) (bool, runtime.Object, error) {
		err := apierrors.NewForbidden(serviceEntries.GroupResource(), "x", errors.New("is being terminated"))
		err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
		return true, nil, err
	})
	w.want(peer("b", "api"))
	w.Eventually(w.written).Should(BeNumerically(">=", 1))
	w.Consistently(w.written, 600*time.Millisecond).Should(BeNumerically("<=", 2), "not again while it is being deleted")
	w.Expect(w.log.all()).To(BeEmpty())
	w.Expect(w.log.infos()).To(ConsistOf(ContainSubstring("the namespace does not exist")), "logged once")
	before := w.written()
	w.client.ReactionChain = w.client.ReactionChain[1:]
	w.syncer.Compare()
	w.Consistently(w.written, 200*time.Millisecond).Should(Equal(before), "it is paused until the next Sync")
	w.want(peer("b", "api"))
	w.Eventually(w.names).Should(ConsistOf("api.shop.b"))
}

// meeting is a client whose requests to create wait for each other.
type meeting struct {
	dynamic.Interface
	together *sync.WaitGroup
}

// IsWatchListSemanticsUnSupported is what the fake client says, too.
func (m meeting) IsWatchListSemanticsUnSupported() bool { return true }

func (m meeting) Resource(resource schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	return meetingResource{m.Interface.Resource(resource), m.together}
}

type meetingResource struct {
	dynamic.NamespaceableResourceInterface
	together *sync.WaitGroup
}

func (m meetingResource) Namespace(name string) dynamic.ResourceInterface {
	return meetingNamespace{m.NamespaceableResourceInterface.Namespace(name), m.together}
}

type meetingNamespace struct {
	dynamic.ResourceInterface
	together *sync.WaitGroup
}

func (m meetingNamespace) Create(ctx context.Context, object *unstructured.Unstructured, options metav1.CreateOptions, subresources ...string) (*unstructured.Unstructured, error) {
	m.together.Done()
	m.together.Wait()
	return m.ResourceInterface.Create(ctx, object, options, subresources...)
}

func TestObjectsAreWrittenConcurrently(t *testing.T) {
	g := NewWithT(t)
	together := &sync.WaitGroup{}
	together.Add(8) // four services; written one by one, the first would wait for ever
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		serviceEntries: "ServiceEntryList", destinationRules: "DestinationRuleList",
	})
	running := syncer.New(meeting{client, together}, &log{})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	go running.Run(ctx)
	g.Expect(running.WaitForCache(ctx)).To(Succeed())
	_, _, err := running.Sync([]federation.Peer{peer("b", "a", "b", "c", "d")})
	g.Expect(err).NotTo(HaveOccurred())
	all := make(chan struct{})
	go func() { defer close(all); together.Wait() }()
	g.Eventually(all, 10*time.Second).Should(BeClosed())
}

func TestAConflictWithAnotherWriterIsRetried(t *testing.T) {
	w := given(t)
	w.want(peer("b", "api"))
	w.Eventually(w.names).Should(ConsistOf("api.shop.b"))
	var mu sync.Mutex
	conflicts := 2
	w.client.PrependReactor("patch", "serviceentries", func(k8stesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		if conflicts == 0 {
			return false, nil, nil
		}
		conflicts--
		return true, nil, apierrors.NewConflict(serviceEntries.GroupResource(), "api.shop.b", errors.New("the object has been modified"))
	})
	changed := peer("b", "api")
	changed.Services[0].Ports[0].Port = 81
	w.want(changed)
	w.Eventually(func() int64 {
		entry, err := w.entries().Get(context.Background(), "api.shop.b", metav1.GetOptions{})
		w.Expect(err).NotTo(HaveOccurred())
		ports, _, _ := unstructured.NestedSlice(entry.Object, "spec", "ports")
		number, _ := ports[0].(map[string]any)["number"].(int64)
		return number
	}).Should(Equal(int64(81)))
	w.Expect(w.log.all()).To(BeEmpty())
}

func TestObjectsOfAnUnknownPeerAreRetained(t *testing.T) {
	unknown := federation.Peer{Name: "b", TrustDomain: "b.local", Unknown: true}
	t.Run("that was known before", func(t *testing.T) {
		w := given(t)
		w.want(peer("b", "api"), peer("c", "api"))
		w.Eventually(w.names).Should(HaveLen(2))
		w.want(unknown, peer("c", "api", "web"))
		w.Eventually(w.names).Should(HaveLen(3))
		w.want(peer("b", "web"), peer("c", "api", "web"))
		w.Eventually(w.hosts).Should(And(HaveLen(3), ContainElement("web.shop.svc.b.local"), Not(ContainElement("api.shop.svc.b.local"))))
	})
	t.Run("that this process has never known", func(t *testing.T) {
		var there []runtime.Object
		for _, object := range federation.Objects([]federation.Peer{peer("b", "api"), peer("c", "api")}) {
			there = append(there, object.Unstructured())
		}
		w := given(t, there...)
		w.want(unknown)
		w.Eventually(w.hosts).Should(HaveLen(1))
		w.Expect(w.hosts()).To(ContainElement("api.shop.svc.b.local"))
		w.want(peer("b", "web"))
		w.Eventually(w.hosts).Should(And(HaveLen(1), ContainElement("web.shop.svc.b.local")))
	})
	t.Run("until its resource is deleted", func(t *testing.T) {
		w := given(t)
		w.want(peer("b", "api"))
		w.Eventually(w.names).Should(HaveLen(1))
		w.want(unknown)
		w.want()
		w.Eventually(w.names).Should(BeEmpty())
	})
}
