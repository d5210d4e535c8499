package metadata_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

func TestGatewaysAtOwnAddressesAreRejected(t *testing.T) {
	parse := func(text string) []netip.Prefix {
		prefixes, err := metadata.ParsePrefixes(text)
		if err != nil {
			t.Fatal(err)
		}
		return prefixes
	}
	own := metadata.Network{
		Pods: parse("10.111.0.0/16, fd00:111::/48"), Services: parse("10.222.0.0/16"),
		APIServers: []netip.Addr{netip.MustParseAddr("192.168.0.10")},
	}
	for name, test := range map[string]struct{ address, says string }{
		"a Pod":                              {"10.111.3.4", "range of Pods"},
		"a Pod of the other family":          {"fd00:111::5", "range of Pods"},
		"a Pod, written as IPv6":             {"::ffff:10.111.3.4", "range of Pods"},
		"a Service":                          {"10.222.0.1", "range of Services"},
		"the API server":                     {"192.168.0.10", "API server"},
		"the API server, written as IPv6":    {"::ffff:192.168.0.10", "API server"},
		"the peer of a range":                {"10.112.0.0", ""},
		"another host of the nodes' network": {"192.168.0.11", ""},
		"a DNS name":                         {"gateway.example.com", ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := own.Rejects(metadata.IngressGateway{Address: test.address, Port: 15443})
			if (err == nil) != (test.says == "") || (err != nil && !strings.Contains(err.Error(), test.says)) {
				t.Errorf("rejected with %v, want %q", err, test.says)
			}
			if err := (metadata.Network{}).Rejects(metadata.IngressGateway{Address: test.address, Port: 15443}); err != nil {
				t.Errorf("rejected though nothing is known: %v", err)
			}
		})
	}
}

func TestAPIHostsOfThisClusterAreRejected(t *testing.T) {
	prefixes := func(text string) []netip.Prefix {
		parsed, err := metadata.ParsePrefixes(text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	own := metadata.Network{
		Pods: prefixes("10.111.0.0/16,fd00:1::/48"), Services: prefixes("10.96.0.0/12,fd00:2::/112"),
		APIServers: []netip.Addr{netip.MustParseAddr("192.168.0.10")},
	}
	for host, refused := range map[string]bool{
		"istio-api-proxy.cluster-b.example.com":      false,
		"istio-api-proxy.cluster-b.example.com:8443": false,
		"203.0.113.7":                            false,
		"203.0.113.7:443":                        false,
		"[2001:db8::1]:443":                      false,
		"svc.example.com":                        false,
		"10.96.0.1":                              true,
		"10.96.0.1:443":                          true,
		"::ffff:10.96.0.1":                       true,
		"[fd00:2::1]":                            true,
		"[fd00:1::1]:443":                        true,
		"10.111.3.4:8443":                        true,
		"192.168.0.10:6443":                      true,
		"127.0.0.1":                              true,
		"127.8.9.1:9650":                         true,
		"[::1]:9650":                             true,
		"localhost":                              true,
		"localhost:9650":                         true,
		"api.localhost":                          true,
		"kubernetes":                             true,
		"kubernetes.default":                     true,
		"kubernetes.default.svc":                 true,
		"kubernetes.default.svc:443":             true,
		"kubernetes.default.svc.cluster-a.local": true,
		"KUBERNETES.default.svc.cluster-a.local.:443": true,
		"10-111-0-1.shop.pod.cluster-a.local":         true,
	} {
		if err := own.RejectsAPI(host, "cluster-a.local"); (err != nil) != refused {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestParsePrefixesNamesAnInvalidRange(t *testing.T) {
	if _, err := metadata.ParsePrefixes("10.0.0.0/16,elsewhere"); err == nil || !strings.Contains(err.Error(), `"elsewhere"`) {
		t.Error(err)
	}
	if prefixes, err := metadata.ParsePrefixes(""); err != nil || len(prefixes) != 0 {
		t.Error(prefixes, err)
	}
}
