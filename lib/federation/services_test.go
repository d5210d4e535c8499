package federation_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/federation"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

const domain = "cluster-b.local"

func port(name string, number int32, protocol string) metadata.ServicePort {
	return metadata.ServicePort{Name: name, Port: number, Protocol: protocol}
}

func service(hostname string, ports ...metadata.ServicePort) metadata.PublicService {
	if ports == nil {
		ports = []metadata.ServicePort{port("http", 80, "HTTP")}
	}
	return metadata.PublicService{Hostname: hostname, Ports: ports}
}

func hostnames(services []metadata.PublicService) []string {
	names := []string{}
	for _, service := range services {
		names = append(names, service.Hostname)
	}
	return names
}

func TestJudge(t *testing.T) {
	for name, test := range map[string]struct {
		published []metadata.PublicService
		accepted  []string
		// rejected maps "hostname reason"
		rejected []string
	}{
		"services of the peer's own domain are accepted, sorted": {
			[]metadata.PublicService{service("z.app.svc." + domain), service("a.app.svc." + domain)},
			[]string{"a.app.svc." + domain, "z.app.svc." + domain}, nil,
		},
		"a hostname of this cluster is not": {
			[]metadata.PublicService{service("bank.prod.svc.cluster-a.local"), service("a.app.svc." + domain)},
			[]string{"a.app.svc." + domain}, []string{"bank.prod.svc.cluster-a.local HostnameOutsideTrustDomain"},
		},
		"a public name is not": {
			[]metadata.PublicService{service("www.example.com")}, nil, []string{"www.example.com HostnameOutsideTrustDomain"},
		},
		"a wildcard is not": {
			[]metadata.PublicService{service("*.app.svc." + domain)}, nil, []string{"*.app.svc." + domain + " InvalidHostname"},
		},
		"a domain that only ends alike is not": {
			[]metadata.PublicService{service("a.b.svc.evil-" + domain)}, nil, []string{"a.b.svc.evil-" + domain + " HostnameOutsideTrustDomain"},
		},
		"too few or too many labels are not": {
			[]metadata.PublicService{service("a.svc." + domain), service("x.a.b.svc." + domain)}, nil,
			[]string{"a.svc." + domain + " InvalidHostname", "x.a.b.svc." + domain + " InvalidHostname"},
		},
		"upper case is not": {
			[]metadata.PublicService{service("A.app.svc." + domain)}, nil, []string{"A.app.svc." + domain + " InvalidHostname"},
		},
		"an internationalised name is not": {
			[]metadata.PublicService{service("bücher.app.svc." + domain)}, nil, []string{"bücher.app.svc." + domain + " InvalidHostname"},
		},
		"the absolute form with a dot at the end is not": {
			[]metadata.PublicService{service("a.app.svc." + domain + ".")}, nil, []string{"a.app.svc." + domain + ". HostnameOutsideTrustDomain"},
		},
		"the peer's domain in capitals is not": {
			[]metadata.PublicService{service("a.app.svc." + strings.ToUpper(domain))}, nil, []string{"a.app.svc." + strings.ToUpper(domain) + " HostnameOutsideTrustDomain"},
		},
		"a third peer's domain is not": {
			[]metadata.PublicService{service("a.app.svc.cluster-c.local")}, nil, []string{"a.app.svc.cluster-c.local HostnameOutsideTrustDomain"},
		},
		"a hostname with a port, a path or a space is not": {
			[]metadata.PublicService{service("a.app.svc." + domain + ":80"), service("a b.app.svc." + domain), service("a/b.app.svc." + domain)}, nil,
			[]string{"a.app.svc." + domain + ":80 HostnameOutsideTrustDomain", "a b.app.svc." + domain + " InvalidHostname", "a/b.app.svc." + domain + " InvalidHostname"},
		},
		"an empty hostname is not": {
			[]metadata.PublicService{service("")}, nil, []string{" HostnameOutsideTrustDomain"},
		},
		"of a hostname published twice the first counts": {
			[]metadata.PublicService{service("a.app.svc."+domain, port("one", 1, "TCP")), service("a.app.svc."+domain, port("two", 2, "TCP"))},
			[]string{"a.app.svc." + domain}, []string{"a.app.svc." + domain + " DuplicateHostname"},
		},
		"a service without ports is not": {
			[]metadata.PublicService{{Hostname: "a.app.svc." + domain}}, nil, []string{"a.app.svc." + domain + " InvalidPorts"},
		},
		"a port without a name is not": {
			[]metadata.PublicService{service("a.app.svc."+domain, port("", 80, "HTTP"))}, nil, []string{"a.app.svc." + domain + " InvalidPorts"},
		},
		"port numbers out of range are not": {
			[]metadata.PublicService{service("a.app.svc."+domain, port("http", 0, "HTTP")), service("b.app.svc."+domain, port("http", 65536, "HTTP"))}, nil,
			[]string{"a.app.svc." + domain + " InvalidPorts", "b.app.svc." + domain + " InvalidPorts"},
		},
		"of a port that is there twice the first counts": {
			[]metadata.PublicService{service("a.app.svc."+domain, port("http", 80, "HTTP"), port("web", 80, "HTTP"))},
			[]string{"a.app.svc." + domain}, []string{"a.app.svc." + domain + " InvalidPorts"},
		},
		"a UDP port is left out, its service stays": {
			[]metadata.PublicService{service("dns.kube.svc."+domain, port("dns", 53, "UDP"), port("dns-tcp", 5353, "TCP"))},
			[]string{"dns.kube.svc." + domain}, []string{"dns.kube.svc." + domain + " UnsupportedProtocol"},
		},
		"a service of UDP ports alone is not accepted": {
			[]metadata.PublicService{service("dns.kube.svc."+domain, port("dns", 53, "UDP"))}, nil,
			[]string{"dns.kube.svc." + domain + " UnsupportedProtocol"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			verdict := federation.Judge(test.published, domain)
			accepted, rejected := verdict.Accepted, verdict.Rejected
			if got := hostnames(accepted); len(got)+len(test.accepted) > 0 && !reflect.DeepEqual(got, test.accepted) {
				t.Errorf("accepted %v, want %v", got, test.accepted)
			}
			var got []string
			for _, each := range rejected {
				got = append(got, each.Hostname+" "+each.Reason)
				if each.Message == "" {
					t.Errorf("%s is rejected without a message", each.Hostname)
				}
				if foreign := strings.Contains(each.Reason, "TrustDomain"); federation.BreaksTrust(each) != foreign {
					t.Errorf("BreaksTrust(%s) = %v", each.Reason, !foreign)
				}
			}
			if !reflect.DeepEqual(got, test.rejected) {
				t.Errorf("rejected %v, want %v", got, test.rejected)
			}
		})
	}
}

func TestJudgeUnderstandsProtocolsInAnyCase(t *testing.T) {
	verdict := federation.Judge([]metadata.PublicService{service("a.app.svc."+domain, port("b", 2, "grpc"), port("a", 1, "Http"))}, domain)
	want := []metadata.ServicePort{port("a", 1, "HTTP"), port("b", 2, "GRPC")}
	if verdict.RejectedTotal > 0 || len(verdict.Accepted) != 1 || !reflect.DeepEqual(verdict.Accepted[0].Ports, want) {
		t.Errorf("got %+v", verdict)
	}
}

func TestAHostnameIsEchoedShortened(t *testing.T) {
	rejected := federation.Judge([]metadata.PublicService{service(strings.Repeat("a", 1<<20))}, domain).Rejected
	if len(rejected) != 1 || len(rejected[0].Hostname) > 1024 || len(rejected[0].Message) > 1024 {
		t.Errorf("a megabyte came back as %d and %d bytes", len(rejected[0].Hostname), len(rejected[0].Message))
	}
}

func TestAHostnameIsEchoedWithoutWhatATerminalWouldObey(t *testing.T) {
	for published, echoed := range map[string]string{
		"\x1b[2Jall is well\r\n": "?[2Jall is well??",
		"a\u202egro.elpmaxe":     "a?gro.elpmaxe",
		"b\u200bank.prod.svc.x":  "b?ank.prod.svc.x",
		"\xff\xfebank":           "bank",
		"bücher.example":         "bücher.example",
	} {
		rejected := federation.Judge([]metadata.PublicService{service(published)}, domain).Rejected
		if len(rejected) != 1 || rejected[0].Hostname != echoed || strings.ContainsAny(rejected[0].Message, "\x1b\r\n\u202e") {
			t.Errorf("%q is echoed as %+v", published, rejected)
		}
	}
}

func TestABreachOfTrustIsNotHiddenBehindOtherRejections(t *testing.T) {
	var published []metadata.PublicService
	for index := range 5000 {
		published = append(published, service(fmt.Sprintf("a%d.dns.svc.%s", index, domain), port("dns", 53, "UDP")))
	}
	published = append(published, service("zz.victim.svc.cluster-c.local"))
	verdict := federation.Judge(published, domain)
	if len(verdict.Rejected) != federation.MaxRejectedServices || verdict.RejectedTotal != 5001 {
		t.Errorf("%d of %d rejections are named", len(verdict.Rejected), verdict.RejectedTotal)
	}
	if !federation.BreaksTrust(verdict.Rejected[0]) {
		t.Errorf("the first rejection is %+v", verdict.Rejected[0])
	}
}

func TestAPeerThatLeavesProtocolsOutMeansWhatThePortsAreCalled(t *testing.T) {
	verdict := federation.Judge([]metadata.PublicService{service("a.app.svc."+domain,
		port("http", 1, ""), port("grpc-api", 2, ""), port("web", 3, ""), port("udp-dns", 4, ""), port("grpc-web-ui", 5, ""))}, domain)
	want := []metadata.ServicePort{port("http", 1, "HTTP"), port("grpc-api", 2, "GRPC"), port("web", 3, "TCP"), port("grpc-web-ui", 5, "GRPC-WEB")}
	if len(verdict.Accepted) != 1 || !reflect.DeepEqual(verdict.Accepted[0].Ports, want) {
		t.Errorf("accepted %+v", verdict.Accepted)
	}
	if verdict.RejectedTotal != 1 || verdict.Rejected[0].Reason != federation.ReasonUnsupportedProtocol || !strings.Contains(verdict.Rejected[0].Message, "UDP") {
		t.Errorf("rejected %+v", verdict.Rejected)
	}
}

func TestABadPortOfAPeerCostsItselfOnly(t *testing.T) {
	many := []metadata.ServicePort{port("http", 80, "HTTP")}
	for index := range 200 {
		many = append(many, port(fmt.Sprintf("p%d", index), int32(index+1000), "TCP"))
	}
	for name, test := range map[string]struct {
		ports []metadata.ServicePort
		want  int
	}{
		"a name of 63 characters":     {[]metadata.ServicePort{port("http", 80, "HTTP"), port(strings.Repeat("a", 63), 81, "TCP")}, 1},
		"no name":                     {[]metadata.ServicePort{port("", 81, "TCP"), port("http", 80, "HTTP")}, 1},
		"a name with forbidden signs": {[]metadata.ServicePort{port("http", 80, "HTTP"), port("a_b\x1b[2J", 81, "TCP")}, 1},
		"a number out of range":       {[]metadata.ServicePort{port("http", 80, "HTTP"), port("x", 70000, "TCP")}, 1},
		"the UDP half of a port":      {[]metadata.ServicePort{port("dns", 80, "UDP"), port("dns-tcp", 80, "TCP")}, 1},
		"201 ports":                   {many, metadata.MaxServicePorts},
	} {
		t.Run(name, func(t *testing.T) {
			verdict := federation.Judge([]metadata.PublicService{service("a.b.svc."+domain, test.ports...)}, domain)
			if len(verdict.Accepted) != 1 || len(verdict.Accepted[0].Ports) != test.want || verdict.Accepted[0].Ports[0].Port != 80 {
				t.Errorf("accepted %+v", verdict.Accepted)
			}
			if verdict.RejectedTotal != 1 || strings.ContainsRune(verdict.Rejected[0].Message, '\x1b') {
				t.Errorf("rejected %+v", verdict.Rejected)
			}
		})
	}
}

func TestImport(t *testing.T) {
	all := []metadata.PublicService{service("api.shop.svc." + domain), service("db.shop.svc." + domain), service("api.bank.svc." + domain)}
	for name, test := range map[string]struct {
		globs []string
		want  []string
	}{
		"no globs import everything":         {nil, hostnames(all)},
		"a namespace":                        {[]string{"*.shop"}, []string{"api.shop.svc." + domain, "db.shop.svc." + domain}},
		"a name in every namespace":          {[]string{"api.*"}, []string{"api.shop.svc." + domain, "api.bank.svc." + domain}},
		"one service":                        {[]string{"db.shop"}, []string{"db.shop.svc." + domain}},
		"any of several globs":               {[]string{"db.shop", "*.bank"}, []string{"db.shop.svc." + domain, "api.bank.svc." + domain}},
		"a glob that cannot match":           {[]string{"none.*"}, []string{}},
		"a broken glob imports nothing more": {[]string{"[", "db.shop"}, []string{"db.shop.svc." + domain}},
	} {
		t.Run(name, func(t *testing.T) {
			before := fmt.Sprint(all)
			if got := hostnames(federation.Import(all, test.globs)); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if fmt.Sprint(all) != before {
				t.Error("the list that was given has changed")
			}
		})
	}
}

func FuzzJudge(f *testing.F) {
	f.Add("a.b.svc."+domain, "http", int32(80), "HTTP")
	f.Add("*.svc."+domain, "", int32(-1), "UDP")
	f.Fuzz(func(t *testing.T, hostname, name string, number int32, protocol string) {
		verdict := federation.Judge([]metadata.PublicService{service(hostname, port(name, number, protocol))}, domain)
		accepted := verdict.Accepted
		if len(accepted)+verdict.RejectedTotal == 0 {
			t.Error("neither accepted nor rejected")
		}
		for _, service := range accepted {
			if !strings.HasSuffix(service.Hostname, ".svc."+domain) {
				t.Errorf("%q was accepted", service.Hostname)
			}
		}
		objects := federation.Objects([]federation.Peer{{Name: "b", TrustDomain: domain, Services: accepted,
			Gateways: []metadata.IngressGateway{{Address: "192.0.2.1", Port: 15443}}}})
		if len(objects) != 2*len(accepted) {
			t.Errorf("%d objects for %d services", len(objects), len(accepted))
		}
	})
}
