package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/probe"
)

const (
	clientIdentity = "spiffe://cluster-a.local/ns/demo/sa/client"
	webIdentity    = "spiffe://cluster-b.local/ns/demo/sa/web"
)

// fakePods stand for a client whose calls the test makes up, and a stranger.
type fakePods struct {
	outcomes chan probe.Call
	verdicts map[string]probe.Verdict
}

func (p *fakePods) Exec(ctx context.Context, _, deployment string, command []string, stdin io.Reader, stdout io.Writer) error {
	if deployment == "stranger" {
		key := "anonymous"
		if strings.Contains(strings.Join(command, " "), "--identity") {
			key = "foreign"
		}
		return json.NewEncoder(stdout).Encode(p.verdicts[key])
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = io.Copy(io.Discard, stdin)
	}()
	for {
		select {
		case <-over:
			return nil
		case call := <-p.outcomes:
			call.Began = time.Now()
			call.Ended = call.Began.Add(time.Millisecond)
			if err := json.NewEncoder(stdout).Encode(call); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lines are what is printed.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, fmt.Sprintf(format, args...))
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

func answered() probe.Call {
	return probe.Call{Status: 200, Cluster: "cluster-b", Pod: "web-1", Caller: clientIdentity, Server: webIdentity}
}

func rejected() probe.Call { return probe.Call{Status: 503, Error: "TLS_error"} }

func object(apiVersion, kind, namespace, name string, spec map[string]any) *unstructured.Unstructured {
	metadata := map[string]any{"name": name}
	if namespace != "" {
		metadata["namespace"] = namespace
	}
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": metadata, "spec": spec}}
}

// newStage has two clusters in which nothing happens but what react does when something is written in cluster-b.
func newStage(t *testing.T, react func(verb, resource string, consumer *fake.FakeDynamicClient, outcomes chan probe.Call)) (*stage, *lines) {
	t.Helper()
	kinds := map[schema.GroupVersionResource]string{
		kube.ServiceEntries: "ServiceEntryList", kube.Services: "ServiceList", kube.IstioFederations: "IstioFederationList",
	}
	consumer := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds)
	publisher := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds,
		object("v1", "Service", "demo", "web", map[string]any{}),
		object("deckhouse.io/v1alpha1", "IstioFederation", "", "cluster-a", map[string]any{"trustDomain": "cluster-a.local"}))
	pods := &fakePods{outcomes: make(chan probe.Call, 10), verdicts: map[string]probe.Verdict{
		"anonymous": {Server: []string{webIdentity}, Alert: "tls: certificate required"},
		"foreign":   {Server: []string{webIdentity}, Alert: "tls: unknown certificate authority"},
	}}
	publisher.PrependReactor("*", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		// After the write itself: the reactor runs before it.
		go func() {
			time.Sleep(10 * time.Millisecond)
			react(action.GetVerb(), action.GetResource().Resource, consumer, pods.outcomes)
		}()
		return false, nil, nil
	})
	printed := &lines{}
	s := &stage{
		consumer:  cluster{Name: "cluster-a", Domain: "cluster-a.local", clients: &kube.Clients{Dynamic: consumer}, pods: pods},
		publisher: cluster{Name: "cluster-b", Domain: "cluster-b.local", clients: &kube.Clients{Dynamic: publisher}},
		print:     printed.printf, kubectl: "kubectl",
	}
	pods.outcomes <- probe.Call{Error: "the name is not known"}
	return s, printed
}

// calls of the stage's client until the test ends.
func (s *stage) calls(t *testing.T) *calls {
	t.Helper()
	calls, stop := startCalls(t.Context(), &s.consumer, s.url())
	t.Cleanup(stop)
	return calls
}

// federated acts as the module does.
func federated(verb, resource string, consumer *fake.FakeDynamicClient, outcomes chan probe.Call) {
	switch verb + " " + resource {
	case "patch services":
		entry := object("networking.istio.io/v1", "ServiceEntry", "d8-istio", "web", map[string]any{
			"hosts":     []any{"web.demo.svc.cluster-b.local"},
			"endpoints": []any{map[string]any{"address": "10.89.2.129", "ports": map[string]any{"http": int64(15443)}}},
		})
		_ = consumer.Tracker().Create(kube.ServiceEntries, entry, "d8-istio")
		outcomes <- answered()
	case "delete istiofederations":
		outcomes <- rejected()
	case "create istiofederations":
		outcomes <- answered()
	}
}

func TestTheDemonstrationShowsEachPartOfFederation(t *testing.T) {
	s, printed := newStage(t, federated)
	calls := s.calls(t)
	entry, err := s.showPublishing(t.Context(), calls)
	if err != nil {
		t.Fatal(err)
	}
	gateway, err := gatewayOf(entry)
	if err != nil || gateway != "10.89.2.129:15443" {
		t.Fatalf("the gateway is %s, %v", gateway, err)
	}
	if err := s.showStrangers(t.Context(), gateway); err != nil {
		t.Fatal(err)
	}
	if err := s.showEndOfTrust(t.Context(), calls); err != nil {
		t.Fatal(err)
	}
	s.sayWhatToTry(gateway)
	for _, want := range []string{
		"calls http://web.demo.svc.cluster-b.local/ every 10 ms, each time on a new connection: the name is not known",
		"ServiceEntry d8-istio/web exists after 0.",
		"the first request is answered after 0.", "by Pod web-1 of cluster-b",
		"the server saw        " + clientIdentity, "the client verified   " + webIdentity,
		"without a certificate:      rejected by " + webIdentity + ": tls: certificate required",
		"with one of a foreign root: rejected by " + webIdentity + ": tls: unknown certificate authority",
		"$ kubectl delete istiofederation cluster-a", "new connections fail after 0.", "503 TLS_error",
		"requests are answered again after 0.",
		"probe tls --server-name outbound_.80_._.web.demo.svc.cluster-b.local 10.89.2.129:15443",
	} {
		if !strings.Contains(printed.String(), want) {
			t.Errorf("it does not print %q; it prints\n%s", want, printed)
		}
	}
}

func TestAnAnswerWithAnotherIdentityFailsTheDemonstration(t *testing.T) {
	s, _ := newStage(t, func(verb, resource string, consumer *fake.FakeDynamicClient, outcomes chan probe.Call) {
		if verb+" "+resource == "patch services" {
			forged := make(chan probe.Call, 1)
			federated(verb, resource, consumer, forged)
			call := <-forged
			call.Server = "spiffe://cluster-b.local/ns/demo/sa/other"
			outcomes <- call
		}
	})
	_, err := s.showPublishing(t.Context(), s.calls(t))
	if err == nil || !strings.Contains(err.Error(), "sa/other") {
		t.Errorf("got the error %v", err)
	}
}

func TestAStrangerWhoGetsInFailsTheDemonstration(t *testing.T) {
	s, _ := newStage(t, federated)
	pods, _ := s.consumer.pods.(*fakePods)
	pods.verdicts["foreign"] = probe.Verdict{Accepted: true}
	if err := s.showStrangers(t.Context(), "10.89.2.129:15443"); err == nil || !strings.Contains(err.Error(), "foreign root") {
		t.Errorf("got the error %v", err)
	}
}

func TestAnAnswerAfterTheEndOfTrustFailsTheDemonstration(t *testing.T) {
	s, _ := newStage(t, func(verb, resource string, _ *fake.FakeDynamicClient, outcomes chan probe.Call) {
		if verb+" "+resource == "delete istiofederations" {
			outcomes <- rejected()
			outcomes <- answered()
		}
	})
	err := s.showEndOfTrust(t.Context(), s.calls(t))
	if err == nil || !strings.Contains(err.Error(), "after trust had ended") {
		t.Errorf("got the error %v", err)
	}
}

func TestCallsThatEndSayWhy(t *testing.T) {
	s, _ := newStage(t, federated)
	s.consumer.pods = failingPods{}
	_, err := s.calls(t).await(t.Context(), time.Time{}, "wait for an answer", probe.Call.Answered)
	if err == nil || !strings.Contains(err.Error(), "wait for an answer") || !strings.Contains(err.Error(), "no Pod is ready") {
		t.Errorf("got the error %v", err)
	}
}

type failingPods struct{}

func (failingPods) Exec(context.Context, string, string, []string, io.Reader, io.Writer) error {
	return errors.New("no Pod is ready")
}

func TestManifestsAreWhatTheyShouldBe(t *testing.T) {
	for _, name := range []string{"web", "client", "stranger"} {
		objects, err := render(name, struct{ Name, Host string }{"cluster-b", "web.demo.svc.cluster-b.local"})
		if err != nil {
			t.Fatal(err)
		}
		namespaced := &unstructured.Unstructured{Object: objects[0]}
		injected := namespaced.GetLabels()["istio-injection"] == "enabled"
		if namespaced.GetKind() != "Namespace" || injected != (name != "stranger") {
			t.Errorf("%s is in a namespace with the labels %v", name, namespaced.GetLabels())
		}
	}
}
