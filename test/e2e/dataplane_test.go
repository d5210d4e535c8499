//go:build e2e

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/test/mesh"
)

// rawPort is the TCP port of the Services that serve makes, and of the Pods behind them.
const rawPort = 9000

// crossing is a workload of cluster-a that calls one of cluster-b.
type crossing struct {
	network *fabric
	// client and server are the two ends, and gateway is cluster-b's.
	client, server *workload
	gateway        *mesh.Client
	// host is the server's name in the mesh, cluster the caller's name for its port.
	host, cluster string
	// serverIdentity and clientIdentity are what the ends have to prove to each other.
	serverIdentity, clientIdentity string
}

func newCrossing(t *testing.T) *crossing {
	t.Helper()
	awaitJoined(t)
	suite.a.awaitMesh(t, defaultIstio())
	suite.b.awaitMesh(t, defaultIstio())
	network := newFabric()
	here, there := suite.a.labelled(t, inMesh), suite.b.labelled(t, inMesh)
	c := &crossing{
		network: network,
		client:  suite.a.workload(t, network, here, "client"), server: suite.b.workload(t, network, there, "server"),
		gateway: suite.b.gateway(t), host: suite.b.serve(t, there, "server"),
		clientIdentity: suite.a.spiffe(t, here, "default"), serverIdentity: suite.b.spiffe(t, there, "default"),
	}
	c.cluster = mesh.Outbound(rawPort, "", c.host)
	suite.b.label(t, there, "server", true)
	suite.a.awaitImported(t, c.host, prompt)
	return c
}

// route waits until the caller knows its way as it should be, and returns it.
func (c *crossing) route(t *testing.T) (addresses []string, handshake mesh.Handshake) {
	t.Helper()
	gateways := suite.b.gatewayAddresses(t)
	await(t, c.client.sidecar, "the endpoints of the federated Service are the peer's gateways", func(view *mesh.View) (missing string) {
		addresses, missing = gateways, want(view.EndpointsOf(c.cluster))(gateways)
		return missing
	})
	for _, address := range addresses {
		await(t, c.client.sidecar, "it is spoken to by mutual TLS, and must prove to be the Service's own", func(view *mesh.View) string {
			var err error
			if handshake, err = view.Handshake(c.cluster, address); err != nil {
				return err.Error()
			}
			comparable := handshake
			comparable.ALPN = nil // Istio's own business
			return want(comparable, nil)(mesh.Handshake{
				TLS: true, SNI: mesh.PassthroughSNI(rawPort, c.host), Certificate: "default", Roots: "ROOTCA", Identities: []string{c.serverIdentity},
			})
		})
	}
	return addresses, handshake
}

// gatewayAddresses are where neighbours reach the cluster's gateway.
func (c *cluster) gatewayAddresses(t *testing.T) []string {
	t.Helper()
	service, err := c.typed.CoreV1().Services(moduleNamespace).Get(context.Background(), "ingressgateway", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var addresses []string
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		addresses = append(addresses, net.JoinHostPort(ingress.IP, strconv.Itoa(gatewayPort)))
	}
	if len(addresses) == 0 {
		t.Fatalf("the gateway of %s has no address", c.name)
	}
	return addresses
}

func TestAFederatedServiceIsReachedThroughThePeersGateway(t *testing.T) {
	c := newCrossing(t)
	_, handshake := c.route(t)
	await(t, c.gateway, "the gateway passes what is for the Service through to its Pod", func(view *mesh.View) string {
		target, err := view.Passthrough(gatewayPort, handshake.SNI, handshake.ALPN)
		if err != nil {
			return err.Error()
		}
		return want(view.EndpointsOf(target))([]string{fmt.Sprintf("%s:%d", c.server.pod.Status.PodIP, rawPort)})
	})
	await(t, c.gateway, "it passes nothing through that is not mutual TLS of the mesh", func(view *mesh.View) string {
		if target, err := view.Passthrough(gatewayPort, handshake.SNI, []string{"h2"}); err == nil {
			return "it goes to " + target
		}
		return ""
	})
	await(t, c.gateway, "nor what is for a Service of another domain", func(view *mesh.View) string {
		other := mesh.PassthroughSNI(443, "kubernetes.default.svc."+suite.a.described(t).ClusterDomain)
		if target, err := view.Passthrough(gatewayPort, other, handshake.ALPN); err == nil {
			return "it goes to " + target
		}
		return ""
	})
}

func TestMutualTLSBetweenClustersNeedsBothFederations(t *testing.T) {
	c := newCrossing(t)
	addresses, handshake := c.route(t)
	c.server.serve(t, rawPort)
	pass(t, c.network, c.gateway, addresses)

	speak := func() error {
		answer, proven, err := c.client.call(addresses[0], handshake, c.client.certificate)
		if err == nil && (answer != fmt.Sprint([]string{c.clientIdentity}) || fmt.Sprint(proven) != fmt.Sprint([]string{c.serverIdentity})) {
			return fmt.Errorf("the client proves to be %s and the server %v", answer, proven)
		}
		return err
	}
	speaks := func() string { return want(true, speak())(true) }
	eventually(t, prompt, "client and server prove to each other who they are", speaks)

	restore := suite.a.setAside(t, suite.b.name)
	eventually(t, prompt, "the client does not trust the server without its own cluster's IstioFederation", func() string {
		return unknownAuthority(speak())
	})
	await(t, c.client.sidecar, "nor does it know the Service any more", func(view *mesh.View) string {
		if _, err := view.Cluster(c.cluster); err == nil {
			return "the cluster is there"
		}
		return ""
	})
	restore()
	c.route(t)
	eventually(t, prompt, "they speak again once it is back", speaks)

	restore = suite.b.setAside(t, suite.a.name)
	eventually(t, prompt, "the server does not trust the client without its own cluster's IstioFederation", func() string {
		if speak() == nil {
			return "they speak"
		}
		return unknownAuthority(c.server.refusal())
	})
	restore()
	eventually(t, prompt, "they speak again once it is back, too", speaks)
}

// unknownAuthority says how the error is another one than that the peer's chain leads to no trusted certificate.
func unknownAuthority(err error) (missing string) {
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		return "the handshake succeeds"
	case !errors.As(err, &unknown):
		return err.Error()
	}
	return ""
}

// TestAPeersCAIsBelievedAboutItsOwnDomainOnly has cluster-b's CA, which signs
// whatever it likes here, try to be others in the eyes of a workload in cluster-a.
func TestAPeersCAIsBelievedAboutItsOwnDomainOnly(t *testing.T) {
	c := newCrossing(t)
	c.route(t) // the anchor has come
	c.client.serve(t, rawPort)
	address := fmt.Sprintf("%s:%d", c.client.pod.Status.PodIP, rawPort)
	view, err := told(c.client.sidecar)
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := view.Acceptance(rawPort)
	if err != nil {
		t.Fatal(err)
	}
	own := mesh.Handshake{TLS: true, SNI: mesh.PassthroughSNI(rawPort, "client"), ALPN: accepted.ALPN}
	for name, test := range map[string]struct {
		names   []string
		refused string
	}{
		"an identity of its own domain": {[]string{c.serverIdentity}, ""},
		"one of the workload's domain":  {[]string{c.clientIdentity}, "constraint"},
		"one of both":                   {[]string{c.serverIdentity, c.clientIdentity}, "constraint"},
		"one of a third domain":         {[]string{"spiffe://cluster-c.local/ns/shop/sa/api"}, "constraint"},
		"one of a domain below its own": {[]string{strings.Replace(c.serverIdentity, "://", "://x.", 1)}, "constraint"},
		// Envoy would take these for identities.
		"one of the workload's domain as a DNS name": {[]string{"DNS:" + c.clientIdentity}, "DNS name"},
		"one as a DNS name behind one of its own":    {[]string{c.serverIdentity, "DNS:" + c.clientIdentity}, "DNS name"},
		"one as an e-mail address":                   {[]string{"email:" + c.clientIdentity}, "rfc822Name"},
	} {
		t.Run(name, func(t *testing.T) {
			forged := suite.b.forge(t, test.names)
			_, _, err := c.server.call(address, own, forged)
			refusal := c.client.refusal()
			if test.refused == "" && (err != nil || refusal != nil) {
				t.Errorf("the caller is refused: %v; %v", err, refusal)
			}
			if test.refused != "" && (err == nil || refusal == nil || !strings.Contains(refusal.Error(), test.refused)) {
				t.Errorf("the caller is not refused for its name: %v; %v", err, refusal)
			}
		})
	}
	t.Run("as a server of the workload's domain", func(t *testing.T) {
		forged := suite.b.forge(t, []string{c.clientIdentity})
		const elsewhere = "192.0.2.1:9000"
		c.network.listen(t, elsewhere, func(connection net.Conn) {
			_ = tls.Server(connection, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: own.ALPN, Certificates: []tls.Certificate{forged.TLS()}}).Handshake()
		})
		demanding := own
		demanding.Identities = []string{c.clientIdentity}
		_, _, err := c.client.call(elsewhere, demanding, c.client.certificate)
		var invalid x509.CertificateInvalidError
		if !errors.As(err, &invalid) || invalid.Reason != x509.CANotAuthorizedForThisName {
			t.Errorf("the server is not refused for its name: %v", err)
		}
	})
}

// forge has the cluster's CA sign a certificate with these names, whatever they are: URIs, or with "DNS:" or "email:"
// before them names of that type.
func (c *cluster) forge(t *testing.T, names []string) *mesh.Certificate {
	t.Helper()
	authority := c.caInUse(t)
	pair, err := tls.X509KeyPair([]byte(authority.Cert), []byte(authority.Key))
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(workloadTTL),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		if dns, ok := strings.CutPrefix(name, "DNS:"); ok {
			template.DNSNames = append(template.DNSNames, dns)
			continue
		}
		if email, ok := strings.CutPrefix(name, "email:"); ok {
			template.EmailAddresses = append(template.EmailAddresses, email)
			continue
		}
		identity, err := url.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, identity)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, pair.Leaf, key.Public(), pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &mesh.Certificate{Key: key, Leaf: leaf, Root: pair.Leaf}
}
