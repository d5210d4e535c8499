package metadata_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

func TestParseMulticluster(t *testing.T) {
	for name, test := range map[string]struct {
		apiHost, networkName string
		want                 string
	}{
		"a name":                          {"istio-api-proxy.example.com", "network-a", ""},
		"a name and a port":               {"istio-api-proxy.example.com:8443", "network-a", ""},
		"an IPv4 address":                 {"192.0.2.1", "network-a", ""},
		"an IPv4 address and a port":      {"192.0.2.1:443", "network-a", ""},
		"an IPv6 address":                 {"[2001:db8::1]", "network-a", ""},
		"an IPv6 address and a port":      {"[2001:db8::1]:443", "network-a", ""},
		"Deckhouse's capitals and dots":   {"api.example.com", "Network_a.b-1", ""},
		"no host":                         {"", "a", "apiHost is missing"},
		"no network":                      {"api.example.com", "", "networkName is missing"},
		"a URL":                           {"https://api.example.com", "a", "apiHost"},
		"a path":                          {"api.example.com/x", "a", "apiHost"},
		"a user":                          {"me@api.example.com", "a", "apiHost"},
		"a bare IPv6 address":             {"2001:db8::1", "a", "brackets"},
		"brackets around a name":          {"[api.example.com]", "a", "brackets"},
		"port 0":                          {"api.example.com:0", "a", "port"},
		"a port out of range":             {"api.example.com:65536", "a", "apiHost"},
		"a port that is a word":           {"api.example.com:https", "a", "apiHost"},
		"the cloud's metadata service":    {"169.254.169.254", "a", "cannot be reached"},
		"everywhere":                      {"0.0.0.0", "a", "cannot be reached"},
		"an address in an old notation":   {"0x7f.1", "a", "neither"},
		"a line break":                    {"api.example.com\n", "a", "apiHost"},
		"a network that is no label":      {"api.example.com", "a/b", "networkName"},
		"a network that is too long":      {"api.example.com", strings.Repeat("a", 64), "networkName"},
		"a network of more than one line": {"api.example.com", "a\nb: c", "networkName"},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(map[string]any{"apiHost": test.apiHost, "networkName": test.networkName})
			if err != nil {
				t.Fatal(err)
			}
			document, err := metadata.ParseMulticluster(body)
			if test.want == "" {
				if err != nil || document.APIHost != test.apiHost || document.IngressGateways == nil {
					t.Errorf("got %+v, %v", document, err)
				}
				return
			}
			if err == nil || document != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v lacks %q", err, test.want)
			}
		})
	}
}

func TestABadGatewayDoesNotInvalidateAMulticlusterDocument(t *testing.T) {
	document, err := metadata.ParseMulticluster([]byte(`{"ingressGateways":[{"address":"","port":0},{"address":"192.0.2.1","port":15443}],"apiHost":"api.example.com","networkName":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	if usable, problem := metadata.UsableGateways(document.IngressGateways, metadata.Network{}); len(usable) != 1 || problem == nil {
		t.Errorf("usable %v, %v", usable, problem)
	}
}

func TestNetworkNamesAreLabelsAndDiffer(t *testing.T) {
	long := strings.Repeat("a", 38) + ".b." + strings.Repeat("c", 100)
	seen := map[string]bool{}
	for _, cluster := range [][2]string{{"cluster.local", "uuid-a"}, {"cluster.local", "uuid-b"}, {long, "uuid-a"}, {strings.Repeat("a", 39) + ".b", "uuid-a"}} {
		name := metadata.NetworkName(cluster[0], cluster[1])
		if seen[name] || strings.Contains(name, "--") {
			t.Errorf("network %q of %v", name, cluster)
		}
		seen[name] = true
		body, err := json.Marshal(metadata.Multicluster{APIHost: "api.example.com", NetworkName: name})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := metadata.ParseMulticluster(body); err != nil {
			t.Error(err)
		}
	}
	if got := metadata.NetworkName("cluster.local", "6a5ba9d4-0c5e-4b5e-9a41-0b2f5f1c2d3e"); got != "network-cluster-local-79846dd7" {
		t.Errorf("the name of a cluster's network must never change: %s", got)
	}
}
