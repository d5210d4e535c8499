//go:build e2e

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/deckhouse-mesh/istio/test/mesh"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// crossing is a Pod of cluster-a that calls one of cluster-b, both with sidecars.
type crossing struct {
	client, server *corev1.Pod
	// namespace of the server, host its Service's name in the mesh.
	namespace, host string
	// clientIdentity and serverIdentity are what the sidecars have to prove to each other.
	clientIdentity, serverIdentity string
}

// newCrossing runs both Pods; the Service is not published yet.
func newCrossing(t *testing.T) *crossing {
	t.Helper()
	awaitPeers(t)
	suite.a.awaitMesh(t, defaultIstio())
	suite.b.awaitMesh(t, defaultIstio())
	here, there := suite.a.labelled(t, inMesh), suite.b.labelled(t, inMesh)
	c := &crossing{
		namespace:      there,
		clientIdentity: suite.a.spiffe(t, here, "default"), serverIdentity: suite.b.spiffe(t, there, "default"),
	}
	// They start at the same time.
	c.client, c.server = suite.a.run(t, newPod(here, "client", nil, nil)), suite.b.run(t, newPod(there, "server", nil, nil))
	c.host = suite.b.serve(t, there, "server")
	c.client, c.server = suite.a.awaitReadyPod(t, c.client), suite.b.awaitReadyPod(t, c.server)
	return c
}

// publish the Service, and wait until the client's requests are answered.
func (c *crossing) publish(t *testing.T) {
	t.Helper()
	suite.b.label(t, c.namespace, "server", true)
	suite.a.awaitAnswer(t, "the client's requests are answered by the server", c.client, webURL(c.host), c.answered())
}

// answered is the wish for an answer of the server to the client, both of which have proven who they are.
func (c *crossing) answered() func(answer) string {
	return between(c.clientIdentity, c.serverIdentity, c.server.Name)
}

// clientCall calls the server as the client would, with a certificate that the client's CA has signed.
func (c *crossing) clientCall(t *testing.T) gatewayCall {
	t.Helper()
	certificate := suite.a.certify(t, defaultIstio(), c.client.Namespace).TLS()
	return callHost(c.host, &certificate)
}

// TestTheFirstRequestIsAnsweredSoonAfterTheLabel logs the times it sees; how
// fast it is, is for benchmarks to measure.
func TestTheFirstRequestIsAnsweredSoonAfterTheLabel(t *testing.T) {
	c := newCrossing(t)
	if missing := suite.a.isRejected(c.client, webURL(c.host)); missing != "" {
		t.Fatalf("the Service is not published, and a request for it succeeds: %s", missing)
	}
	begun := time.Now()
	suite.b.label(t, c.namespace, "server", true)
	suite.a.awaitImported(t, c.host, prompt)
	imported := time.Since(begun)
	suite.a.awaitAnswer(t, "the client's requests are answered by the server", c.client, webURL(c.host), c.answered())
	t.Logf("the ServiceEntry was there %s after the label, the first answer was at most %s after it", imported, time.Since(begun))
}

func TestAFederatedServiceIsReachedThroughThePeersGateway(t *testing.T) {
	c := newCrossing(t)
	c.publish(t)
	suite.a.awaitAnswer(t, "connections to its TCP port are answered by the server", c.client, rawURL(c.host), by(c.server.Name))

	address, call := suite.b.gatewayAddress(t), c.clientCall(t)
	eventually(t, prompt, "a caller with the client's certificate is let in", func() string {
		return call.through(address).accepted(c.clientIdentity, c.serverIdentity, c.server.Name)
	})
	for name, change := range map[string]func(*gatewayCall){
		"what is not mutual TLS of the mesh": func(v *gatewayCall) { v.alpn = "h2" },
		"what is for a Service of another domain": func(v *gatewayCall) {
			v.sni = mesh.PassthroughSNI(443, "kubernetes.default.svc."+suite.a.described(t).ClusterDomain)
		},
		"what is for no Service":                   func(v *gatewayCall) { v.sni = "www.example.com" },
		"what is for a port the Service lacks":     func(v *gatewayCall) { v.sni = mesh.PassthroughSNI(81, c.host) },
		"what is for the Service's name by itself": func(v *gatewayCall) { v.sni = c.host },
	} {
		t.Run("which does not pass on "+name, func(t *testing.T) {
			other := call
			change(&other)
			if met := other.through(address); met.passedOn() || met.err == nil {
				t.Errorf("it is passed on to %q and answered with %s (%v)", met.server, met.answer, met.err)
			}
		})
	}
}

func TestRequestsBetweenClustersNeedBothFederations(t *testing.T) {
	c := newCrossing(t)
	c.publish(t)
	address, call := suite.b.gatewayAddress(t), c.clientCall(t)
	letIn := func() string {
		return call.through(address).accepted(c.clientIdentity, c.serverIdentity, c.server.Name)
	}

	restore := suite.a.setAside(t, suite.b.name)
	eventually(t, prompt, "the client does not reach the server without its own cluster's IstioFederation", func() string {
		return suite.a.isRejected(c.client, webURL(c.host))
	})
	eventually(t, prompt, "the server trusts the client as long as its own cluster's IstioFederation exists", letIn)
	restore()
	suite.a.awaitAnswer(t, "they speak again once it is back", c.client, webURL(c.host), c.answered())

	restore = suite.b.setAside(t, suite.a.name)
	eventually(t, prompt, "the server rejects the client's certificate without its own cluster's IstioFederation", func() string {
		return call.through(address).rejected(c.serverIdentity)
	})
	// Envoy ends connections from before when their listener has changed and its drain time has passed.
	eventually(t, restarted, "the client's requests fail", func() string { return suite.a.isRejected(c.client, webURL(c.host)) })
	restore()
	eventually(t, scheduled, "the server accepts the client's certificate once it is back", letIn)
	suite.a.awaitAnswer(t, "they speak again once it is back, too", c.client, webURL(c.host), c.answered())
}

// TestStrangersAreRejectedByTheServerItself: the gateway has no key and passes
// on what names a Service; the server's sidecar decides which callers it admits.
func TestStrangersAreRejectedByTheServerItself(t *testing.T) {
	c := newCrossing(t)
	suite.b.label(t, c.namespace, "server", true)
	stranger := newFakePeer(t, "stranger.example")
	address := suite.b.gatewayAddress(t)
	for name, call := range map[string]gatewayCall{
		"without a certificate":                                  callHost(c.host, nil),
		"with one of a foreign root, for an identity of its own": callHost(c.host, forge(t, stranger.authority, "spiffe://stranger.example/ns/shop/sa/api")),
		"with one of a foreign root, for the client's identity":  callHost(c.host, forge(t, stranger.authority, c.clientIdentity)),
		"with one of a foreign root, for the server's identity":  callHost(c.host, forge(t, stranger.authority, c.serverIdentity)),
	} {
		t.Run(name, func(t *testing.T) {
			eventually(t, prompt, "the server rejects it", func() string {
				met := call.through(address)
				if met.err != nil {
					t.Logf("rejected with: %v", met.err)
				}
				return met.rejected(c.serverIdentity)
			})
		})
	}
}

// TestAPeersCAIsTrustedForItsOwnDomainOnly has a peer's CA, which signs whatever
// it likes here, try to be others: as a caller in the eyes of a server of this
// cluster, and as a server in those of a client. Both are Envoys.
func TestAPeersCAIsTrustedForItsOwnDomainOnly(t *testing.T) {
	awaitPeers(t)
	suite.a.awaitMesh(t, defaultIstio())
	namespace := suite.a.labelled(t, inMesh)
	client, server := suite.a.run(t, newPod(namespace, "client", nil, nil)), suite.a.run(t, newPod(namespace, "server", nil, nil))
	host := suite.a.serve(t, namespace, "server")
	suite.a.label(t, namespace, "server", true)
	client, server = suite.a.awaitReadyPod(t, client), suite.a.awaitReadyPod(t, server)
	own := suite.a.spiffe(t, namespace, "default")

	peer := newFakePeer(t, "bounded.example")
	entrance := peer.serveMesh(t)
	suite.a.federate(t, peer.federation("bounded"))
	suite.a.awaitImported(t, peer.hostname(), scheduled)
	identity := peer.identity()
	address := suite.a.gatewayAddress(t)
	cases := map[string]struct {
		names    []string
		accepted bool
	}{
		"an identity of its own domain":           {[]string{identity}, true},
		"one of this cluster's domain":            {[]string{own}, false},
		"one of both":                             {[]string{identity, own}, false},
		"one of another peer's domain":            {[]string{suite.b.spiffe(t, "shop", "api")}, false},
		"one of a third domain":                   {[]string{"spiffe://elsewhere.example/ns/shop/sa/api"}, false},
		"one of a domain below its own":           {[]string{"spiffe://x.bounded.example/ns/shop/sa/api"}, false},
		"one of a domain that begins like it":     {[]string{"spiffe://bounded.example.org/ns/shop/sa/api"}, false},
		"one of this cluster as a DNS name":       {[]string{"DNS:" + own}, false},
		"one as a DNS name behind one of its own": {[]string{identity, "DNS:" + own}, false},
		"one as an e-mail address":                {[]string{"email:" + own}, false},
	}
	for name, test := range cases {
		t.Run("as a caller with "+name, func(t *testing.T) {
			call := callHost(host, forge(t, peer.authority, test.names...))
			eventually(t, prompt, "the server decides about it", func() string {
				met := call.through(address)
				if test.accepted {
					return met.accepted(identity, own, server.Name)
				}
				return met.rejected(own)
			})
		})
		t.Run("as a server with "+name, func(t *testing.T) {
			entrance.show(forge(t, peer.authority, test.names...))
			before := entrance.rejected()
			eventually(t, prompt, "the client decides about it", func() string {
				if test.accepted {
					return suite.a.answers(client, webURL(peer.hostname()), between(own, identity, entranceName))
				}
				return rejectsServer(client, peer, entrance, before)
			})
		})
	}
	for name, certificate := range outdatedOrForeign(t, peer) {
		t.Run("as a server with a certificate "+name, func(t *testing.T) {
			entrance.show(certificate)
			before := entrance.rejected()
			eventually(t, prompt, "the client rejects the server", func() string { return rejectsServer(client, peer, entrance, before) })
		})
	}
	t.Run("and not for another identity than the Service's", func(t *testing.T) {
		entrance.show(forge(t, peer.authority, "spiffe://bounded.example/ns/shop/sa/other"))
		before := entrance.rejected()
		eventually(t, prompt, "the client rejects the server", func() string { return rejectsServer(client, peer, entrance, before) })
	})

	genuine := callHost(host, forge(t, peer.authority, identity))
	eventually(t, prompt, "the peer is let in before its IstioFederation is deleted", func() string {
		return genuine.through(address).accepted(identity, own, server.Name)
	})
	suite.a.defederate(t, "bounded")
	eventually(t, prompt, "the peer is rejected once its IstioFederation is deleted", func() string {
		return genuine.through(address).rejected(own)
	})
	eventually(t, prompt, "and is no longer called", func() string {
		return suite.a.isRejected(client, webURL(peer.hostname()))
	})
}

// outdatedOrForeign are certificates for the identity of the peer's Service that prove nothing.
func outdatedOrForeign(t *testing.T, peer *fakePeer) map[string]*tls.Certificate {
	t.Helper()
	now, authority := time.Now(), certtest.Load(peer.authority.Cert, peer.authority.Key)
	issue := func(by certtest.Authority, changes ...certtest.Change) *tls.Certificate {
		leaf := by.Leaf(now, append([]certtest.Change{
			certtest.Identity(peer.identity()), certtest.For(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth),
		}, changes...)...)
		return &leaf
	}
	from := func(begin time.Time) certtest.Change {
		return func(certificate *x509.Certificate) { certificate.NotBefore = begin }
	}
	return map[string]*tls.Certificate{
		"of a foreign root":                 issue(certtest.NewRoot("a third cluster's", now)),
		"of a CA below a foreign root":      issue(certtest.NewRoot("a third cluster's", now).Intermediate("below", now)),
		"that has expired":                  issue(authority, from(now.Add(-2*time.Hour)), certtest.Until(now.Add(-time.Minute))),
		"that is not valid yet":             issue(authority, from(now.Add(time.Hour)), certtest.Until(now.Add(2*time.Hour))),
		"of a CA below it that has expired": issue(authority.Intermediate("below", now, certtest.Until(now.Add(-time.Minute)))),
	}
}

// rejectsServer says what is missing until the client's sidecar has rejected the certificate of the peer's Service since then.
func rejectsServer(client *corev1.Pod, peer *fakePeer, entrance *entrance, before int) (missing string) {
	if missing := suite.a.answers(client, webURL(peer.hostname()), httpStatus(http.StatusServiceUnavailable)); missing != "" {
		return missing
	}
	if entrance.rejected() == before {
		return "no handshake was broken off by an alert"
	}
	return ""
}
