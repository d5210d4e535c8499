// Package fuzz_test has the fuzz tests of package metadata. They are apart from
// its other tests, whose imports would take minutes to build for fuzzing.
package fuzz_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// fuzzTime is when the documents of the fuzz tests are read.
var fuzzTime = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func asJSON(tb testing.TB, document any) []byte {
	tb.Helper()
	encoded, err := json.Marshal(document)
	if err != nil {
		tb.Fatal(err)
	}
	return encoded
}

// FuzzParsePublic checks that an accepted document is accepted again, unchanged, after it was kept in a status.
func FuzzParsePublic(f *testing.F) {
	keys, err := authn.GenerateKeypair()
	if err != nil {
		f.Fatal(err)
	}
	root := certtest.NewRoot("Istio CA", fuzzTime).PEM()
	for _, seed := range []metadata.Public{
		{ClusterUUID: "uuid-b", AuthnKeyPub: keys.Pub, RootCA: root, TrustDomain: "cluster-b.local"},
		{ClusterUUID: "uuid-b", AuthnKeyPub: "\n" + keys.Pub + "\n", RootCA: "text\n" + root + root},
		{ClusterUUID: "../x", AuthnKeyPub: keys.Priv, RootCA: keys.Pub, TrustDomain: "Cluster"},
		{},
	} {
		f.Add(asJSON(f, seed))
	}
	for _, seed := range []string{"", "null", "[]", "{", `{"clusterUUID":1}`, `{"rootCA":"\ud800"}`, strings.Repeat("[", 10000)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		document, err := metadata.ParsePublic(body, fuzzTime)
		if err != nil {
			if document != nil {
				t.Fatal("a document beside an error")
			}
			return
		}
		again, err := metadata.ParsePublic(asJSON(t, document), fuzzTime)
		if err != nil || !reflect.DeepEqual(again, document) {
			t.Fatalf("read again: %+v, %v; want %+v", again, err, document)
		}
		if _, err := metadata.SPIFFEBundle("cluster-b.local", document.RootCA, fuzzTime); err != nil {
			t.Fatalf("roots that were accepted make no bundle: %v", err)
		}
	})
}

// FuzzParseFederation checks that an accepted document survives in a status, and that its used parts are bounded.
func FuzzParseFederation(f *testing.F) {
	for _, seed := range []string{
		"", "null", "{}", "[]", `{"ingressGateways":null,"publicServices":null}`,
		`{"ingressGateways":[{"address":"10.0.0.1","port":15443}],"publicServices":[{"hostname":"web.shop.svc.cluster-b.local","ports":[{"name":"http","port":80,"protocol":"HTTP"}]}]}`,
		`{"ingressGateways":[{"address":"::1","port":-1},{"address":"a..b","port":70000}],"publicServices":[{}]}`,
		`{"ingressGateways":{},"publicServices":[]}`, `{"ingressGateways":[],"publicServices":[null]}`, `{"ingressGateways":[],"publicServices":[{"hostname":"a","ports":[{"port":1e10}]}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		document, err := metadata.ParseFederation(body)
		if err != nil {
			if document != nil {
				t.Fatal("a document beside an error")
			}
			return
		}
		if document.IngressGateways == nil || document.PublicServices == nil {
			t.Fatal("an accepted document has a list that is nil")
		}
		checkUsable(t, document.IngressGateways)
		again, err := metadata.ParseFederation(asJSON(t, document))
		if err != nil || !reflect.DeepEqual(again, document) {
			t.Fatalf("read again: %+v, %v; want %+v", again, err, document)
		}
	})
}

// FuzzParseMulticluster is FuzzParseFederation for the document of a common mesh.
func FuzzParseMulticluster(f *testing.F) {
	for _, seed := range []string{
		"", "null", "{}", `{"ingressGateways":[{"address":"gw.example.com","port":15443}],"apiHost":"api.example.com","networkName":"b"}`,
		`{"ingressGateways":[{"address":"0.0.0.0","port":1}],"apiHost":"api.example.com","networkName":"b"}`, `{"apiHost":{},"networkName":[]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		document, err := metadata.ParseMulticluster(body)
		if err != nil {
			if document != nil {
				t.Fatal("a document beside an error")
			}
			return
		}
		checkUsable(t, document.IngressGateways)
		if again, err := metadata.ParseMulticluster(asJSON(t, document)); err != nil || !reflect.DeepEqual(asJSON(t, again), asJSON(t, document)) {
			t.Fatalf("read again: %+v, %v; want %+v", again, err, document)
		}
	})
}

func checkUsable(t *testing.T, gateways []metadata.IngressGateway) {
	t.Helper()
	usable, _ := metadata.UsableGateways(gateways, metadata.Network{})
	if len(usable) > metadata.MaxIngressGateways {
		t.Fatalf("%d gateways are used", len(usable))
	}
	for _, gateway := range usable {
		if err := gateway.Check(); err != nil {
			t.Fatalf("a gateway that is used: %v", err)
		}
	}
}

// FuzzParseRoots checks the outcome for any PEM bundle of a peer.
func FuzzParseRoots(f *testing.F) {
	root, other := certtest.NewRoot("Istio CA", fuzzTime), certtest.NewRoot("other", fuzzTime)
	leaf := certtest.PEM(root.Client(fuzzTime).Certificate...)
	for _, seed := range []string{"", " ", root.PEM(), root.PEM() + other.PEM(), "text\n" + root.PEM(), leaf, root.PEM() + leaf,
		root.PEM()[:100], root.KeyPEM(), strings.Repeat(root.PEM(), 17), "-----BEGIN CERTIFICATE-----\na: b\n\nAAAA\n-----END CERTIFICATE-----\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		roots, err := metadata.ParseRoots(text, fuzzTime)
		if (err == nil) != (len(roots) > 0) {
			t.Fatalf("%d roots, %v", len(roots), err)
		}
		for _, root := range roots {
			if !root.IsCA || fuzzTime.After(root.NotAfter) {
				t.Fatalf("%q is no root that is in force", root.Subject)
			}
		}
		if _, bundleErr := metadata.SPIFFEBundle("cluster-b.local", text, fuzzTime); (bundleErr == nil) != (err == nil) {
			t.Fatalf("the bundle of these roots: %v; the roots: %v", bundleErr, err)
		}
	})
}
