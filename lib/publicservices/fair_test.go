package publicservices_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/publicservices"
	"github.com/deckhouse-mesh/istio/lib/servicelist"
)

// accepted fails the test unless a peer accepts the document whole.
func accepted(t *testing.T, made publicservices.Document) metadata.Federation {
	t.Helper()
	if len(made.Body) > metadata.MaxFederationBytes {
		t.Fatalf("the document has %d bytes", len(made.Body))
	}
	read, err := metadata.ParseFederation(made.Body)
	if err != nil {
		t.Fatal(err)
	}
	verdict := federation.Judge(read.PublicServices, domain)
	if verdict.RejectedTotal > 0 {
		t.Fatalf("a peer rejects %d, the first %+v", verdict.RejectedTotal, verdict.Rejected[0])
	}
	if len(read.PublicServices) > metadata.MaxServices {
		t.Errorf("%d services", len(read.PublicServices))
	}
	ports := 0
	for _, each := range read.PublicServices {
		ports += len(each.Ports) * len(read.IngressGateways)
	}
	if ports > metadata.MaxEndpointPorts {
		t.Errorf("%d ports times gateways", ports)
	}
	packed, err := new(servicelist.Codec).Pack(v1alpha1.CachedFederation{IngressGateways: read.IngressGateways, PublicServices: read.PublicServices})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := json.Marshal(packed)
	if err != nil {
		t.Fatal(err)
	}
	if len(stored) > metadata.MaxCacheBytes {
		t.Errorf("a status of it has %d bytes", len(stored))
	}
	return *read
}

func many(namespace string, count int, made func(index int) []corev1.ServicePort) []*corev1.Service {
	services := make([]*corev1.Service, count)
	for index := range services {
		services[index] = &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("s-%05d", index), CreationTimestamp: metav1.Unix(int64(1_000_000-index), 0)},
			Spec:       corev1.ServiceSpec{Ports: made(index)},
		}
	}
	return services
}

func onePort(int) []corev1.ServicePort { return []corev1.ServicePort{{Name: "http", Port: 80}} }

func shortPorts(count int) func(int) []corev1.ServicePort {
	return func(int) []corev1.ServicePort {
		ports := make([]corev1.ServicePort, count)
		for index := range ports {
			ports[index] = corev1.ServicePort{Name: fmt.Sprintf("tcp-%d", index), Port: int32(index + 1)}
		}
		return ports
	}
}

// randomNames have as little redundancy as names of ports can.
func randomNames(seed uint64, count int) func(int) []corev1.ServicePort {
	source := rand.New(rand.NewPCG(seed, 1))
	return func(int) []corev1.ServicePort {
		ports := make([]corev1.ServicePort, count)
		for index := range ports {
			var name strings.Builder
			for range metadata.MaxPortNameLength {
				name.WriteByte("abcdefghijklmnopqrstuvwxyz0123456789"[source.IntN(36)])
			}
			ports[index] = corev1.ServicePort{Name: "x" + name.String()[1:], Port: int32(1 + index)}
		}
		return ports
	}
}

func gatewaysOf(count int) []metadata.IngressGateway {
	gateways := make([]metadata.IngressGateway, count)
	for index := range gateways {
		gateways[index] = metadata.IngressGateway{Address: fmt.Sprintf("192.0.2.%d", index+1), Port: 15443}
	}
	return gateways
}

func TestATenantDoesNotFreezeWhatOthersPublish(t *testing.T) {
	for name, test := range map[string]struct {
		services []*corev1.Service
		gateways int
		accounts int
	}{
		"180 Services of 128 ports with long random names":  {many("evil", 180, randomNames(1, 128)), 1, 0},
		"1,500 Services of 20 ports with long random names": {many("evil", 1500, randomNames(2, 20)), 3, 0},
		"123 Services of 128 ports behind 32 gateways":      {many("evil", 123, shortPorts(128)), 32, 0},
		"2,000 Services of 128 ports":                       {many("evil", 2000, shortPorts(128)), 1, 0},
		"25,000 Services of one port":                       {many("evil", 25_000, onePort), 1, 0},
		"19,000 Services of one port and 64 accounts":       {many("evil", 19_000, onePort), 1, 64},
	} {
		t.Run(name, func(t *testing.T) {
			honest := many("shop", 40, onePort)
			all := candidates(t, append(test.services, honest...)...)
			accountsOf := func(*publicservices.Candidate) []string {
				accounts := []string{}
				for index := range test.accounts {
					accounts = append(accounts, fmt.Sprintf("evil/account-%d", index))
				}
				return accounts
			}
			made, err := publicservices.NewDocument(all, gatewaysOf(test.gateways), &publicservices.Sizes{}, accountsOf)
			if err != nil {
				t.Fatal(err)
			}
			read := accepted(t, made)
			published := map[string]int{}
			for _, each := range read.PublicServices {
				published[strings.Split(each.Hostname, ".")[1]]++
			}
			if published["shop"] != len(honest) {
				t.Errorf("%d of %d Services of the other namespace are published", published["shop"], len(honest))
			}
			if published["evil"] == 0 || published["evil"] == len(test.services) {
				t.Errorf("%d of %d Services of the tenant are published", published["evil"], len(test.services))
			}
			if got, want := len(made.Rejections), len(test.services)-published["evil"]; got != want {
				t.Errorf("%d rejections, want %d", got, want)
			}
			first := made.Rejections[0]
			if first.Reason != publicservices.ReasonPeerLimit || first.Namespace != "evil" || !strings.Contains(first.Message, "namespace evil has used its share") {
				t.Errorf("the rejection says %+v", first)
			}
			if named := publicservices.Named(made.Rejections, 20); len(named) > 20 {
				t.Errorf("%d rejections are named", len(named))
			}
		})
	}
}

func TestTheOldestServicesOfANamespaceArePublished(t *testing.T) {
	all := candidates(t, many("evil", metadata.MaxServices+10, onePort)...)
	made, err := publicservices.NewDocument(all, gatewaysOf(1), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accepted(t, made); len(made.Rejections) != 10 || made.Services != metadata.MaxServices {
		t.Fatalf("%d published, %d rejected", made.Services, len(made.Rejections))
	}
	// The first by name is the youngest.
	for index, rejection := range made.Rejections {
		if want := fmt.Sprintf("s-%05d", index); rejection.Name != want {
			t.Errorf("%s is rejected, want %s", rejection.Name, want)
		}
	}
}

func TestWhatPeersAcceptIsPublishedWhole(t *testing.T) {
	all := candidates(t, append(many("one", metadata.MaxServices/2, onePort), many("two", metadata.MaxServices/2, onePort)...)...)
	made, err := publicservices.NewDocument(all, gatewaysOf(metadata.MaxIngressGateways-7), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accepted(t, made); made.Services != metadata.MaxServices || len(made.Rejections) != 0 {
		t.Errorf("%d published, rejected %d", made.Services, len(made.Rejections))
	}
}

func BenchmarkDocumentOfManyServices(b *testing.B) {
	var made []*publicservices.Candidate
	for _, each := range many("shop", 10_000, shortPorts(3)) {
		candidate, err := publicservices.NewCandidate(each, domain)
		if err != nil {
			b.Fatal(err)
		}
		made = append(made, candidate)
	}
	var sizes publicservices.Sizes
	for b.Loop() {
		if _, err := publicservices.NewDocument(made, gatewaysOf(2), &sizes, nil); err != nil {
			b.Fatal(err)
		}
	}
}
