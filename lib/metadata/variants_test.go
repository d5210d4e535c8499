package metadata_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// TestAClusterUUIDHasOneSpelling: text that looks alike must not be another cluster.
func TestAClusterUUIDHasOneSpelling(t *testing.T) {
	now := time.Now()
	keypair, err := authn.GenerateKeypair()
	if err != nil {
		t.Fatal(err)
	}
	for _, uuid := range []string{
		"11111111-2222-4333-8444-55555555555\u0430", // a Cyrillic a
		"11111111\u20112222-4333-8444-555555555555", // a hyphen that does not break
		"11111111-2222-4333-8444-555555555555\u200b", "\ufeff11111111-2222-4333-8444-555555555555",
		" 11111111-2222-4333-8444-555555555555", "11111111-2222-4333-8444-555555555555\n", "11111111-2222-4333-8444-555555555555\x00",
		"\uff11\uff11111111-2222-4333-8444-555555555555", "../11111111", "11111111/2222", "a b", "-11111111", strings.Repeat("1", 65), "",
	} {
		body, err := json.Marshal(map[string]string{"clusterUUID": uuid, "authnKeyPub": keypair.Pub, "rootCA": certtest.NewRoot("a", now).PEM()})
		if err != nil {
			t.Fatal(err)
		}
		if accepted, err := metadata.ParsePublic(body, now); err == nil {
			t.Errorf("%q is accepted as %q", uuid, accepted.ClusterUUID)
		} else if strings.ContainsAny(err.Error(), "\x00\u200b\ufeff") {
			t.Errorf("the error shows what nobody sees: %q", err)
		}
	}
}

// TestOneParserReadsADocument: what a key that is repeated, or written otherwise, says last is what is judged.
func TestOneParserReadsADocument(t *testing.T) {
	now := time.Now()
	keypair, err := authn.GenerateKeypair()
	if err != nil {
		t.Fatal(err)
	}
	root, _ := json.Marshal(certtest.NewRoot("a", now).PEM())
	key, _ := json.Marshal(keypair.Pub)
	for name, uuids := range map[string]string{
		"repeated":           `"clusterUUID":"honest","clusterUUID":"..hostile"`,
		"in another case":    `"clusterUUID":"honest","CLUSTERUUID":"..hostile"`,
		"with letters alike": `"clusterUUID":"honest","clu\u017fterUUID":"..hostile"`,
	} {
		body := fmt.Sprintf(`{%s,"authnKeyPub":%s,"rootCA":%s}`, uuids, key, root)
		if accepted, err := metadata.ParsePublic([]byte(body), now); err == nil {
			t.Errorf("%s: accepted as %q", name, accepted.ClusterUUID)
		}
	}
}

func TestDeeplyNestedDocumentsAreRejected(t *testing.T) {
	deep := strings.Repeat(`[`, 100_000) + strings.Repeat(`]`, 100_000)
	objects := strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat(`}`, 100_000)
	for name, body := range map[string]string{
		"lists in an unknown field":   `{"ingressGateways":[],"publicServices":[],"more":` + deep + `}`,
		"objects in an unknown field": `{"ingressGateways":[],"publicServices":[],"more":` + objects + `}`,
		"lists in the services":       `{"ingressGateways":[],"publicServices":` + deep + `}`,
	} {
		if _, err := metadata.ParseFederation([]byte(body)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAnAPIHostHasOneMeaning(t *testing.T) {
	for _, host := range []string{
		"api.example.com/path", "api.example.com?x", "api.example.com#x", "user@api.example.com", "user:secret@api.example.com:443", "https://api.example.com",
		"api.example.com:0", "api.example.com:65536", "api.example.com:https", "api.example.com:443:443", "api.example.com:", ":443",
		"2130706433", "0x7f.1", "0x7f000001", "127.1", "010.0.0.1", "0177.0.0.1", "[::1", "::1]", "[127.0.0.1]", "[api.example.com]", "fe80::1%eth0", "[fe80::1%eth0]:443",
		"169.254.169.254", "[::ffff:169.254.169.254]", "0.0.0.0", "[::]", "224.0.0.1", "api..example.com", ".example.com", "api.example.com.", "*.example.com",
		"api\u3002example.com", "xn--", "API.example.com", "api.example.com\r\nHost: other", "api.example.com\x00", " api.example.com", "api_proxy.example.com",
		strings.Repeat("a", 64) + ".example.com", strings.Repeat("a.", 130) + "com",
	} {
		body, err := json.Marshal(map[string]any{"apiHost": host, "networkName": "network-a"})
		if err != nil {
			t.Fatal(err)
		}
		if accepted, err := metadata.ParseMulticluster(body); err == nil {
			t.Errorf("%q is accepted: %q", host, accepted.APIHost)
		}
	}
}

func TestANetworkNameIsAValueOfALabel(t *testing.T) {
	for _, name := range []string{"", " ", "-a", "a-", "a b", "a/b", "a\n", "a\x1b[2J", "n\u0435twork", strings.Repeat("a", 64), `a"b`, "a: {b: c}", "{{ .Values }}"} {
		body, err := json.Marshal(map[string]any{"apiHost": "api.example.com", "networkName": name})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := metadata.ParseMulticluster(body); err == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}
