//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// hostileMemory is what the operator, the exporter and the watcher may hold while peers send them megabytes; bytes.
const hostileMemory = 600 << 20

func TestHostilePeersAreNamedAndHarmNobodyElse(t *testing.T) {
	awaitPeers(t)
	namespace := suite.b.namespace(t)
	suite.a.awaitSettled(t, suite.b.publish(t, namespace, "web"))
	awaitPeers(t)
	suite.a.awaitMesh(t, defaultIstio())
	before := suite.a.learnedFrom(t, suite.b)
	entries := suite.a.entriesOf(t, namespace)
	unchanged := suite.a.mustRun(t, operator, exporter, watcher)
	victimUUID, ownUUID := suite.b.described(t).ClusterUUID, suite.a.described(t).ClusterUUID
	victimRoot, ownRoot := suite.b.rootsPEM(t), suite.a.rootsPEM(t)

	const tenMegabytes, twentyMegabytes = 10 << 20, 20 << 20
	for name, test := range map[string]struct {
		corrupt func(*fakePeer)
		// condition that must be False or carry the reason, and what its message must contain.
		condition, reason, message string
	}{
		"html":        {func(p *fakePeer) { p.public = serveText("text/html", "<html>log in</html>") }, "Ready", "PeerMetadataNotJSON", ""},
		"empty":       {func(p *fakePeer) { p.public = serveText("application/json", "") }, "Ready", "PeerMetadataNotJSON", ""},
		"big-public":  {func(p *fakePeer) { p.public = servePadding(tenMegabytes) }, "Ready", "PeerMetadataTooLarge", ""},
		"big-private": {func(p *fakePeer) { p.private = servePadding(twentyMegabytes) }, "Ready", "PeerMetadataTooLarge", ""},
		"bad-pem": {func(p *fakePeer) {
			p.public = altered(p.public, func(d map[string]any) {
				d["rootCA"] = "-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n"
			})
		}, "Ready", "PeerPublicMetadataInvalid", "rootCA"},
		"bad-key": {func(p *fakePeer) {
			p.public = altered(p.public, func(d map[string]any) { d["authnKeyPub"] = "no key" })
		}, "Ready", "PeerPublicMetadataInvalid", "authnKeyPub"},
		"foreign-hostname": {func(p *fakePeer) {
			p.private = altered(p.private, publishing("web."+namespace+".svc."+suite.b.described(t).ClusterDomain))
		}, "ServicesAccepted", "HostnameOutsideTrustDomain", suite.b.described(t).ClusterDomain},
		"taken-uuid": {func(p *fakePeer) {
			p.public = altered(p.public, func(d map[string]any) { d["clusterUUID"] = victimUUID })
		}, "Ready", "ClusterUUIDTaken", suite.b.name},
		"wrong-domain": {func(p *fakePeer) {
			p.public = altered(p.public, func(d map[string]any) { d["trustDomain"] = "other.example" })
		}, "Ready", "PeerTrustDomainMismatch", "other.example"},
		"unasked-304": {func(p *fakePeer) {
			p.public = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }
		}, "Ready", "PeerUnexpectedStatus", "304"},
		"unasked-304-private": {func(p *fakePeer) {
			p.private = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }
		}, "Ready", "PeerUnexpectedStatus", "304"},
		"a-million-objects": {func(p *fakePeer) {
			p.private = serveText("application/json", `{"ingressGateways":[],"publicServices":[`+strings.TrimSuffix(strings.Repeat("{},", 1<<20), ",")+`]}`)
		}, "Ready", "PeerPrivateMetadataInvalid", "objects"},
		"too-many-ports": {func(p *fakePeer) {
			p.private = altered(p.private, func(d map[string]any) {
				var ports []any
				for number := 1; number <= 129; number++ {
					ports = append(ports, map[string]any{"name": fmt.Sprintf("p%d", number), "port": number, "protocol": "TCP"})
				}
				d["publicServices"] = []any{map[string]any{"hostname": p.hostname(), "ports": ports}}
			})
		}, "ServicesAccepted", "SomeRejected", "129 ports"},
		// Each part is within its own bound; together they did not fit into a status.
		"large-etags": {(*fakePeer).sendLargeETags, "Ready", "HostnameOutsideTrustDomain", "100 rejected"},
		// They did not fit into a Helm release.
		"large-roots": {(*fakePeer).sendLargeRoots, "Ready", "PeerPublicMetadataInvalid", "bytes together"},
		"absent":      {func(p *fakePeer) { p.server.Close() }, "Ready", "PeerUnreachable", ""},
		"own-uuid": {func(p *fakePeer) {
			p.public = altered(p.public, func(d map[string]any) { d["clusterUUID"] = strings.ToUpper(ownUUID) })
		}, "Ready", "ClusterUUIDIsOwn", ""},
		"own-root": {func(p *fakePeer) {
			p.public = altered(p.public, func(d map[string]any) { d["rootCA"] = ownRoot })
		}, "Ready", "Joined", ""},
		"taken-root": {func(p *fakePeer) {
			p.public = altered(p.public, func(d map[string]any) { d["rootCA"] = victimRoot })
		}, "Ready", "Joined", ""},
		"redirect": {func(p *fakePeer) {
			p.public = http.RedirectHandler(suite.a.described(t).APIServer+"/version", http.StatusFound).ServeHTTP
		}, "Ready", "PeerUnexpectedStatus", "302"},
		"bomb": {func(p *fakePeer) { p.private = serveBomb }, "Ready", "PeerMetadataTooLarge", ""},
		"millions-of-nulls": {func(p *fakePeer) {
			p.private = serveText("application/json", `{"ingressGateways":[],"publicServices":[`+strings.Repeat("null,", 3<<20)+`null]}`)
		}, "Ready", "PeerPrivateMetadataInvalid", "values"},
		"wildcard": {func(p *fakePeer) {
			p.private = altered(p.private, publishing("*."+namespace+".svc."+suite.b.described(t).ClusterDomain))
		}, "ServicesAccepted", "HostnameOutsideTrustDomain", "*."},
		"own-hostname": {func(p *fakePeer) {
			p.private = altered(p.private, publishing("kubernetes.default.svc."+suite.a.described(t).ClusterDomain))
		}, "ServicesAccepted", "HostnameOutsideTrustDomain", "kubernetes.default"},
		"capitals": {func(p *fakePeer) {
			p.private = altered(p.private, publishing(strings.ToUpper(p.hostname())))
		}, "ServicesAccepted", "HostnameOutsideTrustDomain", "API.SHOP"},
		"escape-codes": {func(p *fakePeer) {
			p.private = altered(p.private, publishing("\x1b[2Jall.is-well"))
		}, "ServicesAccepted", "HostnameOutsideTrustDomain", "?[2Jall.is-well"},
		"foreign-identities": {func(p *fakePeer) {
			p.private = altered(p.private, func(d map[string]any) {
				service := d["publicServices"].([]any)[0].(map[string]any)
				service["serviceAccounts"] = []any{"spiffe://" + suite.b.described(t).ClusterDomain + "/ns/" + namespace + "/sa/default", "../" + namespace}
			})
		}, "ServicesAccepted", "SomeRejected", "service account"},
		"metadata-service-gateway": {func(p *fakePeer) {
			p.private = altered(p.private, func(d map[string]any) {
				d["ingressGateways"] = []any{map[string]any{"address": "169.254.169.254", "port": 80}}
			})
		}, "Ready", "PeerHasNoIngressGateway", ""},
		"restless": {func(p *fakePeer) {
			var answers atomic.Int32
			p.private = altered(p.private, func(d map[string]any) {
				d["ingressGateways"] = []any{map[string]any{"address": "198.51.100.7", "port": 20000 + answers.Add(1)%1000}}
			})
		}, "Ready", "Joined", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			peer := newFakePeer(t, name+".example")
			test.corrupt(peer)
			suite.a.federate(t, peer.federation(name))
			eventually(t, scheduled, "the condition says what is wrong", func() string {
				status, reason, message := suite.a.condition(name, test.condition)
				if (status == "False") == (test.reason == "Joined") || reason != test.reason || !strings.Contains(message, test.message) {
					return fmt.Sprintf("%s=%s %s: %s", test.condition, status, reason, message)
				}
				return ""
			})
			if entry := suite.a.imported(t, peer.hostname()); entry != nil && test.condition == "Ready" && test.reason != "Joined" {
				t.Errorf("a service of the peer is imported: %s", entry.GetName())
			}
			suite.a.holdToItsDomain(t, name, peer.trustDomain)
		})
	}
	t.Cleanup(func() {
		awaitPeers(t)
		if after := suite.a.entriesOf(t, namespace); !maps.Equal(entries, after) {
			t.Errorf("ServiceEntries changed: %v became %v", entries, after)
		}
		suite.a.awaitMesh(t, defaultIstio())
		if after := suite.a.learnedFrom(t, suite.b); !maps.Equal(before, after) {
			t.Errorf("what came from %s changed: %v became %v", suite.b.name, before, after)
		}
		if strings.Contains(suite.a.logs(t, operator), "panic") {
			t.Error("the operator's log has a panic")
		}
		unchanged()
		for _, program := range []component{operator, exporter, watcher} {
			if held := suite.a.memory(t, program); held > hostileMemory {
				t.Errorf("%s holds %d bytes, want at most %d", program, held, hostileMemory)
			}
		}
	})
}

// sendLargeETags has the peer's documents fill a status: each part is within its bound.
func (p *fakePeer) sendLargeETags() {
	tag := "\"" + strings.Repeat("<", 62_000) + "\""
	p.public, p.private = tagged(p.public, tag), tagged(altered(p.private, func(d map[string]any) {
		services := []any{}
		for number := range 9_000 {
			sum := sha256.Sum256([]byte(fmt.Sprint(p.trustDomain, number)))
			services = append(services, map[string]any{
				"hostname": "s" + hex.EncodeToString(sum[:])[:60] + ".shop.svc." + p.trustDomain,
				"ports":    []any{map[string]any{"name": "http", "port": 80, "protocol": "HTTP"}},
			})
		}
		for range 100 {
			services = append(services, map[string]any{"hostname": strings.Repeat("<", 300), "ports": []any{}})
		}
		// Without gateways nothing is imported: that is about the status.
		d["ingressGateways"], d["publicServices"] = []any{}, services
	}), tag)
}

// sendLargeRoots has the peer name as many roots as it may, each as large as one may be.
func (p *fakePeer) sendLargeRoots() {
	roots := certtest.LargeRoots(16, time.Now())
	p.public = altered(p.public, func(d map[string]any) { d["rootCA"] = roots })
}

// tagged answers as another handler does, with that ETag.
func tagged(handler http.HandlerFunc, tag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag)
		handler(w, r)
	}
}

// publishing makes a document publish one Service of that hostname.
func publishing(hostname string) func(document map[string]any) {
	return func(document map[string]any) {
		document["publicServices"] = []any{map[string]any{
			"hostname": hostname, "ports": []any{map[string]any{"name": "http", "port": 80, "protocol": "HTTP"}},
		}}
	}
}

// serveBomb answers with a gigabyte that travels as a megabyte.
func serveBomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	zipped := gzip.NewWriter(w)
	_, err := zipped.Write([]byte(`{"ingressGateways":"`))
	for zeros := bytes.Repeat([]byte("0"), 1<<20); err == nil; {
		_, err = zipped.Write(zeros)
	}
}

// servePadding answers with JSON that long, as fast as the reader takes it.
func servePadding(length int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		out := bufio.NewWriter(w)
		_, _ = out.WriteString(`{"clusterUUID":"`)
		for range length {
			if out.WriteByte('x') != nil {
				return
			}
		}
		_, _ = out.WriteString(`"}`)
		_ = out.Flush()
	}
}

// TestAPeerThatNeverAnswersDelaysNobodyElse: a connection that is accepted and
// then silent must not hold up the other peers.
func TestAPeerThatNeverAnswersDelaysNobodyElse(t *testing.T) {
	awaitPeers(t)
	released := make(chan struct{})
	silent := newFakePeer(t, "silent.example")
	t.Cleanup(func() { close(released) })
	silent.public = func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-released:
		case <-r.Context().Done():
		}
	}
	suite.a.federate(t, silent.federation("silent"))
	namespace := suite.b.namespace(t)
	for _, name := range []string{"one", "two", "three"} {
		hostname := suite.b.publish(t, namespace, name)
		suite.a.awaitImported(t, hostname, prompt)
	}
	eventually(t, scheduled, "the condition says that the peer does not answer", func() string {
		status, reason, message := suite.a.condition("silent", "Ready")
		if status != "False" || reason != "PeerUnreachable" {
			return fmt.Sprintf("Ready=%s %s: %s", status, reason, message)
		}
		return ""
	})
}
