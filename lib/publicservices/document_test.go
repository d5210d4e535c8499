package publicservices_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

func candidates(tb testing.TB, services ...*corev1.Service) []*publicservices.Candidate {
	tb.Helper()
	made := make([]*publicservices.Candidate, 0, len(services))
	for _, each := range services {
		candidate, err := publicservices.NewCandidate(each, domain)
		if err != nil {
			tb.Fatal(err)
		}
		made = append(made, candidate)
	}
	return made
}

// document makes the document and reads it as a peer does, which must give
// its body again: it is put together by hand.
func document(tb testing.TB, services []*publicservices.Candidate, gateways []metadata.IngressGateway, accountsOf publicservices.ServiceAccountsOf) (metadata.Federation, []publicservices.Rejection) {
	tb.Helper()
	made, err := publicservices.NewDocument(services, gateways, nil, accountsOf)
	if err != nil {
		tb.Fatal(err)
	}
	var read metadata.Federation
	if err := json.Unmarshal(made.Body, &read); err != nil {
		tb.Fatalf("%v in %s", err, made.Body)
	}
	again, err := json.Marshal(read)
	if err != nil {
		tb.Fatal(err)
	}
	if string(again) != string(made.Body) {
		tb.Errorf("the document is\n%s, encoded as a whole\n%s", made.Body, again)
	}
	if made.Services != len(read.PublicServices) || !slices.Equal(made.Gateways, read.IngressGateways) {
		tb.Errorf("%d services, gateways %v said of %s", made.Services, made.Gateways, made.Body)
	}
	return read, made.Rejections
}

func TestTheDocumentDoesNotDependOnTheOrderOfItsInputs(t *testing.T) {
	services := candidates(t,
		service(t, "metadata: {name: b, namespace: one}\nspec: {ports: [{name: tcp, port: 1}]}"),
		service(t, "metadata: {name: a, namespace: two}\nspec: {ports: [{name: tcp, port: 2}, {name: http, port: 1}]}"),
		service(t, "metadata: {name: bad, namespace: two}\nspec: {ports: [{port: 2}]}"),
		service(t, "metadata: {name: bad, namespace: one}\nspec: {ports: [{port: 2}]}"),
	)
	gateways := []metadata.IngressGateway{{Address: "10.0.0.2", Port: 15443}, {Address: "10.0.0.1", Port: 15443}, {Address: "10.0.0.2", Port: 15443}}
	want, wantRejected := document(t, services, gateways, nil)
	if want.PublicServices[0].Hostname != "a.two.svc.cluster-b.local" || want.PublicServices[0].Ports[0].Port != 1 {
		t.Errorf("services = %+v", want.PublicServices)
	}
	if len(want.IngressGateways) != 2 || want.IngressGateways[0].Address != "10.0.0.1" {
		t.Errorf("gateways = %+v", want.IngressGateways)
	}
	if len(wantRejected) != 2 || wantRejected[0].Namespace != "one" {
		t.Errorf("rejections = %v", wantRejected)
	}
	for range 20 {
		rand.Shuffle(len(services), func(i, j int) { services[i], services[j] = services[j], services[i] })
		rand.Shuffle(len(gateways), func(i, j int) { gateways[i], gateways[j] = gateways[j], gateways[i] })
		got, rejected := document(t, services, gateways, nil)
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(rejected, wantRejected) {
			t.Fatalf("another order gives\n%+v %v, want\n%+v %v", got, rejected, want, wantRejected)
		}
	}
}

func TestNothingPublishedIsAnEmptyListAndNotNull(t *testing.T) {
	document, _ := document(t, nil, nil, nil)
	if document.PublicServices == nil || document.IngressGateways == nil {
		t.Errorf("document = %#v", document)
	}
}

func TestTheDocumentIsWhatEncodingItAsAWholeGives(t *testing.T) {
	plain := withSpec(t, "ports: [{name: http, port: 80}]")
	other := service(t, "metadata: {name: zz, namespace: shop}\nspec: {ports: [{name: tcp, port: 2}]}")
	annotated := plain.DeepCopy()
	annotated.Annotations = map[string]string{publicservices.AccountsAnnotation: `vm"a\, <b>` + "\u2028&"}
	accountsOf := func(endpoints ...publicservices.Endpoint) publicservices.ServiceAccountsOf {
		return func(candidate *publicservices.Candidate) []string {
			return publicservices.ServiceAccounts(candidate, endpoints)
		}
	}
	for name, test := range map[string]struct {
		services   []*corev1.Service
		accountsOf publicservices.ServiceAccountsOf
		want       int
	}{
		"no service":                               {nil, nil, 0},
		"one that says no service accounts":        {[]*corev1.Service{plain}, nil, 1},
		"two with unknown service accounts":        {[]*corev1.Service{plain, other}, accountsOf(publicservices.Endpoint{}), 2},
		"two without endpoints":                    {[]*corev1.Service{plain, other}, accountsOf(), 2},
		"two with endpoints":                       {[]*corev1.Service{other, plain}, accountsOf(publicservices.Endpoint{IsPod: true, ServiceAccount: "shop/web"}), 2},
		"an annotation with what JSON must escape": {[]*corev1.Service{annotated, other}, accountsOf(), 2},
		"the only one has too many accounts":       {[]*corev1.Service{plain}, func(*publicservices.Candidate) []string { return make([]string, 65) }, 0},
		"the first has too many accounts": {[]*corev1.Service{plain, other}, func(candidate *publicservices.Candidate) []string {
			if candidate.Name == "web" {
				return make([]string, 65)
			}
			return nil
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			// document compares the two.
			if got, _ := document(t, candidates(t, test.services...), nil, test.accountsOf); len(got.PublicServices) != test.want {
				t.Errorf("%d services, want %d: %+v", len(got.PublicServices), test.want, got)
			}
		})
	}
}

func TestTheDocumentFitsItsBuffer(t *testing.T) {
	var services []*corev1.Service
	for index := range 300 {
		services = append(services, service(t, fmt.Sprintf("metadata: {name: web-%d, namespace: shop}\nspec: {ports: [{name: http, port: 80}]}", index)))
	}
	made, err := publicservices.NewDocument(candidates(t, services...), nil, nil, func(*publicservices.Candidate) []string {
		return []string{"shop/an-account-of-some-length", "shop/another"}
	})
	if err != nil {
		t.Fatal(err)
	}
	if waste := cap(made.Body) - len(made.Body); waste < 0 || waste > 16<<10 {
		t.Errorf("a document of %d bytes is in a buffer of %d", len(made.Body), cap(made.Body))
	}
}
