//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// documented is a YAML block of a document, the one that contains the mark, for namespace shop of the fixture.
func documented(t *testing.T, document, mark string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", document))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(content), "```yaml\n")[1:] {
		if block, _, _ = strings.Cut(block, "```"); strings.Contains(block, mark) {
			return strings.ReplaceAll(block, "namespace: shop\n", "namespace: '{{.Here.Shop}}'\n")
		}
	}
	t.Fatalf("docs/%s has no YAML with %q", document, mark)
	return ""
}

// proxyLog is what the sidecar of a Pod has logged.
func (i *insider) proxyLog() (string, error) {
	stream, err := i.of.typed.CoreV1().Pods(i.Namespace).GetLogs(i.Name, &corev1.PodLogOptions{Container: proxyContainer}).Stream(context.Background())
	if err != nil {
		return "", err
	}
	defer func() { _ = stream.Close() }()
	content, err := io.ReadAll(stream)
	return string(content), err
}

// presented is a row: a certificate that a caller shows at the gateway.
type presented struct {
	name        string
	certificate *tls.Certificate
	accepted    bool
	// reason in the server's access log.
	reason string
}

// certificates of all sorts for a caller that has the peer's CA, or one of its own.
func (f *traffic) certificates(t *testing.T) []presented {
	t.Helper()
	now := time.Now()
	bundle := f.There.caInUse(t)
	peer, foreign := certtest.Load(bundle.Cert, bundle.Key), certtest.NewRoot("third cluster", now)
	own, peers := f.Here.identity("client"), f.There.identity("default")
	issue := func(by certtest.Authority, identity string, changes ...certtest.Change) *tls.Certificate {
		leaf := by.Leaf(now, append([]certtest.Change{
			certtest.Identity(identity), certtest.For(x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth),
		}, changes...)...)
		return &leaf
	}
	from := func(begin time.Time) certtest.Change {
		return func(certificate *x509.Certificate) { certificate.NotBefore = begin }
	}
	dns := func(certificate *x509.Certificate) { certificate.DNSNames = []string{"ca.third.example"} }
	const stranger, violation, expired = "unable_to_get_local_issuer_certificate", "permitted_subtree_violation", "certificate_has_expired"
	return []presented{
		{"of the peer's CA", issue(peer, peers), true, ""},
		{"of a CA below the peer's", issue(peer.Intermediate("below", now), peers), true, ""},
		{"of a CA below the peer's, for this cluster's domain", issue(peer.Intermediate("below", now), own), false, violation},
		{"of a CA below the peer's that has a name of its own", issue(peer.Intermediate("below", now, dns), peers), false, violation},
		{"of a CA below a third cluster's", issue(foreign.Intermediate("below", now), peers), false, stranger},
		{"of a third cluster's CA", issue(foreign, "spiffe://third.example/ns/shop/sa/api"), false, stranger},
		{"of a third cluster's CA, for the peer's domain", issue(foreign, peers), false, stranger},
		{"of a third cluster's CA, for this cluster's domain", issue(foreign, own), false, stranger},
		{"of the peer's CA, for this cluster's domain", issue(peer, own), false, violation},
		{"of the peer's CA, for a third domain", issue(peer, "spiffe://third.example/ns/shop/sa/api"), false, violation},
		{"of the peer's CA, expired", issue(peer, peers, from(now.Add(-2*time.Hour)), certtest.Until(now.Add(-time.Minute))), false, expired},
		{"of the peer's CA, not valid yet", issue(peer, peers, from(now.Add(time.Hour))), false, "certificate_is_not_yet_valid"},
		{"of the peer's CA below one that has expired", issue(peer.Intermediate("below", now, certtest.Until(now.Add(-time.Minute))), peers), false, expired},
		{"none", nil, false, "PEER_DID_NOT_RETURN_A_CERTIFICATE"},
	}
}

// TestTrafficNeedsAnIdentityThatIsTrusted: the access log that docs/TROUBLESHOOTING.md recommends says why a certificate was rejected.
func TestTrafficNeedsAnIdentityThatIsTrusted(t *testing.T) {
	f := trafficOf(t)
	f.applyYAML(t, f.Here, documented(t, "TROUBLESHOOTING.md", "rejected-handshakes"))
	address, host := f.Here.gatewayAddress(t), f.Here.serveAs(t, "identity", "guarded", false)
	server := f.Here.identity("default")
	for _, row := range f.certificates(t) {
		t.Run("a certificate "+row.name, func(t *testing.T) {
			call := callHost(host, row.certificate)
			eventually(t, scheduled, "the server decides about it", func() string {
				met := call.through(address)
				if row.accepted {
					return met.accepted(f.There.identity("default"), server, "guarded")
				}
				before, err := f.Here.Pod("guarded").proxyLog()
				if err != nil {
					return err.Error()
				}
				if met = call.through(address); met.rejected(server) != "" {
					return met.rejected(server)
				}
				return f.Here.Pod("guarded").logsSince(before, "rejected handshake for outbound_.80_._."+host, row.reason)
			})
		})
	}
}

// logsSince says what is missing until the Pod's sidecar has logged a line with all the words since then.
func (i *insider) logsSince(before string, words ...string) (missing string) {
	var lines string
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) { // logs come a little later
		now, err := i.proxyLog()
		if err != nil {
			return err.Error()
		}
		lines = strings.TrimPrefix(now, before)
	next:
		for line := range strings.Lines(lines) {
			for _, word := range words {
				if !strings.Contains(line, word) {
					continue next
				}
			}
			return ""
		}
	}
	return fmt.Sprintf("no line of the log has %q: %s", words, lastLine(lines))
}

// TestTrafficIsNotAnsweredByAnotherServiceAccount: someone who may write
// EndpointSlices of the peer leads a published Service to a Pod of another
// service account. Clients of this cluster reject it, and say so.
func TestTrafficIsNotAnsweredByAnotherServiceAccount(t *testing.T) {
	f := trafficOf(t)
	f.applyYAML(t, f.There, strings.ReplaceAll(documented(t, "TROUBLESHOOTING.md", "rejected-handshakes"), "Here", "There"))
	led := func(to string) string {
		return fmt.Sprintf(`apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: vault-by-hand
  labels: {kubernetes.io/service-name: vault, federation.istio.deckhouse.io/public-service: ""}
addressType: IPv4
endpoints:
- {addresses: ['{{.Here.IP %q}}'], conditions: {ready: true}, targetRef: {kind: Pod, namespace: '{{.Here.Shop}}', name: guarded}}
ports: [{name: http-web, port: 8080, protocol: TCP}]
`, to)
	}
	const service = `apiVersion: v1
kind: Service
metadata:
  name: vault
  labels: {federation.istio.deckhouse.io/public-service: ""}
spec: {ports: [{name: http-web, port: 80}]}
---
`
	client, url := f.There.Pod("client"), "http://"+f.Here.Host("vault")+"/"
	f.applyYAML(t, f.Here, service+led("guarded"))
	eventually(t, scheduled, "the Pod's service account is published", func() string {
		rule, err := f.There.dynamic.Resource(destinationRules).Namespace(moduleNamespace).
			Get(context.Background(), "vault."+f.Here.Shop+"."+f.Here.name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		names, _, err := unstructured.NestedStringSlice(rule.Object, "spec", "trafficPolicy", "tls", "subjectAltNames")
		return want(names, err)([]string{f.Here.identity("default")})
	})
	eventually(t, scheduled, "the Pod that is published answers", func() string {
		got, err := client.get(url)
		if err != nil {
			return err.Error()
		}
		return between(f.There.identity("default"), f.Here.identity("default"), "guarded")(got)
	})
	// Another client than the one whose connection is open.
	client = f.There.Pod("auditor")
	before, err := client.proxyLog()
	if err != nil {
		t.Fatal(err)
	}
	f.replace(t, f.Here, led("auditor"))
	address, probe := f.Here.gatewayAddress(t), callHost(f.Here.Host("vault"), forge(t, f.There.caInUse(t), f.There.identity("probe")))
	eventually(t, scheduled, "the gateway leads to the other Pod", func() string {
		return want(probe.through(address).server, nil)(f.Here.identity("auditor"))
	})
	eventually(t, scheduled, "the client rejects the other Pod's certificate, and its log says so", func() string {
		got, err := client.get(url)
		if err != nil {
			return err.Error()
		}
		if missing := httpStatus(http.StatusServiceUnavailable)(got); missing != "" {
			return missing
		}
		return client.logsSince(before, f.Here.Host("vault"), "TLS_error", "SAN")
	})
}
