package documents_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/images/metadata-exporter/internal/documents"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/publicservices"
	"github.com/deckhouse-mesh/istio/test/support/exportertest"
	"github.com/deckhouse-mesh/istio/test/support/peerstest"
)

const gateways = `[{"address":"10.0.0.1","port":15443}]`

func configMap(data map[string]string) *corev1.ConfigMap { return &corev1.ConfigMap{Data: data} }

func services(tb testing.TB, count int) []*publicservices.Candidate {
	tb.Helper()
	var list []*corev1.Service
	for index := range count {
		list = append(list, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("web-%d", index), Namespace: "shop"},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80, Protocol: corev1.ProtocolTCP}}},
		})
	}
	return exportertest.Candidates(tb, "cluster-a.local", list...)
}

func update(t *testing.T, set *documents.Set, configMap *corev1.ConfigMap, list []*publicservices.Candidate) documents.Outcome {
	t.Helper()
	outcome, err := set.Update(configMap, list)
	if err != nil {
		t.Fatal(err)
	}
	return outcome
}

func body(document *documents.Document) string {
	if revision := document.Current(); revision != nil {
		return string(revision.Body)
	}
	return "absent"
}

func TestDocumentsAreMadeOfTheConfigMapAndTheServices(t *testing.T) {
	cluster := peerstest.NewPeer(t, "a")
	set := documents.NewSet(cluster.Domain, time.Now)
	outcome := update(t, set, configMap(map[string]string{
		documents.PublicKey:          cluster.PublicJSON(t),
		documents.IngressGatewaysKey: gateways,
		documents.MulticlusterKey:    `{"apiHost":"istio-api-proxy.a.example.com","networkName":"network-a"}`,
	}), services(t, 1))

	if got := body(&set.Public); got != cluster.PublicJSON(t) {
		t.Errorf("public = %s", got)
	}
	wantFederation := `{"ingressGateways":[{"address":"10.0.0.1","port":15443}],"publicServices":[{"hostname":"web-0.shop.svc.cluster-a.local","ports":[{"name":"http","port":80,"protocol":"HTTP"}]}]}`
	if got := body(&set.Federation); got != wantFederation {
		t.Errorf("federation = %s", got)
	}
	wantMulticluster := `{"ingressGateways":[{"address":"10.0.0.1","port":15443}],"apiHost":"istio-api-proxy.a.example.com","networkName":"network-a"}`
	if got := body(&set.Multicluster); got != wantMulticluster {
		t.Errorf("multicluster = %s", got)
	}
	if got := body(&set.SPIFFEBundle); !strings.Contains(got, `"use":"x509-svid"`) {
		t.Errorf("SPIFFE bundle = %s", got)
	}
	if len(outcome.Changed) != 4 || outcome.Services != 1 || outcome.Gateways != 1 || len(outcome.Problems) != 0 {
		t.Errorf("outcome = %+v", outcome)
	}
	if outcome = update(t, set, configMap(map[string]string{
		documents.PublicKey: cluster.PublicJSON(t), documents.IngressGatewaysKey: " " + gateways,
	}), services(t, 1)); !slices.Equal(outcome.Changed, []string{metadata.MulticlusterPath}) || body(&set.Multicluster) != "absent" {
		t.Errorf("without %s: %+v", documents.MulticlusterKey, outcome)
	}
}

func TestADocumentIsAbsentUntilItsInputExists(t *testing.T) {
	cluster := peerstest.NewPeer(t, "a")
	for name, test := range map[string]struct {
		configMap  *corev1.ConfigMap
		public     bool
		federation bool
		complaint  string // in the outcome's problems
	}{
		"no ConfigMap":         {nil, false, false, ""},
		"an empty ConfigMap":   {configMap(nil), false, false, "the key is missing"},
		"no gateways yet":      {configMap(map[string]string{documents.PublicKey: cluster.PublicJSON(t)}), true, false, "the key is missing"},
		"an empty gateway":     {configMap(map[string]string{documents.IngressGatewaysKey: `[{}]`}), false, false, "gateway 0"},
		"no gateways at all":   {configMap(map[string]string{documents.IngressGatewaysKey: `[]`}), false, true, "the key is missing"},
		"a list that is null":  {configMap(map[string]string{documents.IngressGatewaysKey: `null`}), false, false, "not known yet"},
		"public without a key": {configMap(map[string]string{documents.PublicKey: `{"clusterUUID":"a"}`, documents.IngressGatewaysKey: gateways}), false, true, "authnKeyPub"},
		"public that is HTML":  {configMap(map[string]string{documents.PublicKey: `<html>`, documents.IngressGatewaysKey: gateways}), false, true, "decode"},
	} {
		t.Run(name, func(t *testing.T) {
			set := documents.NewSet(cluster.Domain, time.Now)
			outcome := update(t, set, test.configMap, services(t, 1))
			if got := set.Public.Current() != nil; got != test.public {
				t.Errorf("there is a public document: %v", got)
			}
			if got := set.SPIFFEBundle.Current() != nil; got != test.public {
				t.Errorf("there is a SPIFFE bundle: %v", got)
			}
			if got := set.Federation.Current() != nil; got != test.federation {
				t.Errorf("there is a federation document: %v", got)
			}
			if outcome.ConfigMapMissing != (test.configMap == nil) {
				t.Errorf("outcome = %+v", outcome)
			}
			if !strings.Contains(fmt.Sprint(outcome.Problems), test.complaint) {
				t.Errorf("problems %v do not have %q", outcome.Problems, test.complaint)
			}
		})
	}
}

func TestABadGatewayDoesNotKeepTheOthersFromBeingPublished(t *testing.T) {
	many := make([]string, 40)
	for index := range many {
		many[index] = fmt.Sprintf(`{"address":"10.0.0.%d","port":15443}`, 100+index)
	}
	slices.Reverse(many)
	for name, test := range map[string]struct {
		list      string
		first     string
		count     int
		complaint string
	}{
		"all are good":             {`[{"address":"10.0.0.2","port":1},{"address":"10.0.0.1","port":2}]`, `"10.0.0.1"`, 2, ""},
		"an address is no address": {`[{"address":"https://x","port":1},{"address":"10.0.0.1","port":1}]`, `"10.0.0.1"`, 1, "gateway 0: address"},
		"a port is a word":         {`[{"address":"10.0.0.2","port":1},{"address":"10.0.0.1","port":"x"}]`, `"10.0.0.2"`, 1, "gateway 1: decode"},
		"a gateway occurs twice":   {`[{"address":"10.0.0.2","port":1},{"address":"10.0.0.2","port":1}]`, `"10.0.0.2"`, 1, ""},
		"there are too many":       {"[" + strings.Join(many, ",") + "]", `"10.0.0.100"`, metadata.MaxIngressGateways, fmt.Sprintf("%d gateways are more than the %d", len(many), metadata.MaxIngressGateways)},
	} {
		t.Run(name, func(t *testing.T) {
			set := documents.NewSet("cluster-a.local", time.Now)
			outcome := update(t, set, configMap(map[string]string{documents.IngressGatewaysKey: test.list}), nil)
			if got := body(&set.Federation); !strings.HasPrefix(got, `{"ingressGateways":[{"address":`+test.first) || outcome.Gateways != test.count {
				t.Errorf("%d gateways: %s", outcome.Gateways, got)
			}
			if problem := outcome.Problems[documents.IngressGatewaysKey]; problem != nil {
				t.Errorf("the whole list is rejected: %v", problem)
			}
			if dropped := outcome.GatewaysDropped; (dropped != nil) != (test.complaint != "") || dropped != nil && !strings.Contains(dropped.Error(), test.complaint) {
				t.Errorf("dropped: %v, want %q", dropped, test.complaint)
			}
		})
	}
}

func TestTheLastGoodConfigMapStaysInForceWhileServicesChange(t *testing.T) {
	cluster := peerstest.NewPeer(t, "a")
	good := configMap(map[string]string{documents.PublicKey: cluster.PublicJSON(t), documents.IngressGatewaysKey: gateways})
	for name, bad := range map[string]*corev1.ConfigMap{
		"a missing ConfigMap": nil,
		"missing keys":        configMap(nil),
		"rubbish":             configMap(map[string]string{documents.PublicKey: "{", documents.IngressGatewaysKey: "{", documents.MulticlusterKey: "{}"}),
	} {
		t.Run(name, func(t *testing.T) {
			set := documents.NewSet(cluster.Domain, time.Now)
			update(t, set, good, services(t, 1))
			public := set.Public.Current()
			outcome := update(t, set, bad, services(t, 2))
			if !slices.Equal(outcome.Changed, []string{metadata.FederationPath}) || outcome.Services != 2 {
				t.Errorf("outcome = %+v", outcome)
			}
			if set.Public.Current() != public {
				t.Errorf("public = %s", body(&set.Public))
			}
			if got := body(&set.Federation); !strings.Contains(got, "10.0.0.1") || !strings.Contains(got, "web-1.") {
				t.Errorf("federation = %s", got)
			}
		})
	}
}

func TestAnUpdateOfEqualContentChangesNothing(t *testing.T) {
	cluster := peerstest.NewPeer(t, "a")
	set := documents.NewSet(cluster.Domain, time.Now)
	good := configMap(map[string]string{documents.PublicKey: cluster.PublicJSON(t), documents.IngressGatewaysKey: gateways})
	list := services(t, 3)
	update(t, set, good, list)
	slices.Reverse(list)
	if outcome := update(t, set, good, list); len(outcome.Changed) != 0 {
		t.Errorf("changed: %v", outcome.Changed)
	}
}

func TestPrivateTagsChangeWithThePublicDocumentAlikeInEveryReplica(t *testing.T) {
	before, after := peerstest.NewPeer(t, "a"), peerstest.NewPeer(t, "a")
	settings := func(of peerstest.Peer) *corev1.ConfigMap {
		return configMap(map[string]string{
			documents.PublicKey: of.PublicJSON(t), documents.IngressGatewaysKey: gateways,
			documents.MulticlusterKey: `{"apiHost":"istio-api-proxy.a.example.com","networkName":"network-a"}`,
		})
	}
	set := documents.NewSet(before.Domain, time.Now)
	update(t, set, settings(before), services(t, 1))
	public, federation, multicluster := set.Public.Current(), set.Federation.Current(), set.Multicluster.Current()
	if public.ETag != metadata.ETag(public.Body) {
		t.Error("the public document's tag is not that of its bytes alone")
	}

	outcome := update(t, set, settings(after), services(t, 1))
	for _, path := range []string{metadata.PublicPath, metadata.FederationPath, metadata.MulticlusterPath} {
		if !slices.Contains(outcome.Changed, path) {
			t.Errorf("%s has no new version: %v", path, outcome.Changed)
		}
	}
	for _, each := range []struct {
		document *documents.Document
		before   *documents.Version
	}{{&set.Federation, federation}, {&set.Multicluster, multicluster}} {
		if now := each.document.Current(); string(now.Body) != string(each.before.Body) || now.ETag == each.before.ETag {
			t.Errorf("%s with tag %s after %s with tag %s", now.Body, now.ETag, each.before.Body, each.before.ETag)
		}
	}

	restarted := documents.NewSet(after.Domain, time.Now)
	update(t, restarted, settings(after), services(t, 1))
	if restarted.Federation.Current().ETag != set.Federation.Current().ETag || restarted.Multicluster.Current().ETag != set.Multicluster.Current().ETag {
		t.Error("another replica has other tags for the same documents")
	}
}

func TestARootThatExpiresLaterLeavesTheDocumentsInPlace(t *testing.T) {
	cluster := peerstest.NewPeer(t, "a")
	now := time.Now()
	set := documents.NewSet(cluster.Domain, func() time.Time { return now })
	good := configMap(map[string]string{documents.PublicKey: cluster.PublicJSON(t), documents.IngressGatewaysKey: gateways})
	update(t, set, good, services(t, 1))
	now = now.Add(24 * time.Hour)
	outcome := update(t, set, good, services(t, 2))
	if !strings.Contains(fmt.Sprint(outcome.Problems[documents.PublicKey]), "expired") {
		t.Errorf("problems = %v", outcome.Problems)
	}
	if set.Public.Current() == nil || outcome.Services != 2 {
		t.Errorf("outcome = %+v", outcome)
	}
}

func TestTheTrustDomainIsTheClusterDomainWhereTheConfigMapNamesNone(t *testing.T) {
	cluster := peerstest.NewPeer(t, "a")
	set := documents.NewSet(cluster.Domain, time.Now)
	nameless := cluster
	nameless.Domain = ""
	update(t, set, configMap(map[string]string{documents.PublicKey: nameless.PublicJSON(t)}), nil)
	if got := body(&set.Public); got != cluster.PublicJSON(t) {
		t.Errorf("public = %s", got)
	}
}

func BenchmarkUpdateWithAThousandServices(b *testing.B) {
	set := documents.NewSet("cluster-a.local", time.Now)
	few, many := services(b, 1000), services(b, 1001)
	settings := configMap(map[string]string{documents.IngressGatewaysKey: gateways})
	for index := 0; b.Loop(); index++ {
		list := few
		if index%2 == 0 {
			list = many
		}
		if outcome, err := set.Update(settings, list); err != nil || len(outcome.Changed) != 1 {
			b.Fatal(outcome, err)
		}
	}
}
