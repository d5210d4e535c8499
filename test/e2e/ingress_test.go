//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// caller calls a cluster's metadata endpoint from outside.
type caller struct {
	// certificate that it shows when it is asked for one, nil for none.
	certificate *tls.Certificate
	token       string
	// header of ingress-nginx that a caller may try to write itself.
	header string
	// host is the first label of the host to call, empty for that of the endpoint.
	host string
}

// get asks for a document and returns the status and the certificate with which TLS is terminated.
func (v caller) get(t *testing.T, of *cluster, path string) (status int, server *x509.Certificate, err error) {
	t.Helper()
	described := of.described(t)
	ca, err := os.ReadFile(described.MetadataCA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	endpoint, err := url.Parse(described.MetadataEndpoint)
	if err != nil {
		t.Fatal(err)
	}
	if v.host != "" {
		_, domain, _ := strings.Cut(endpoint.Host, ".")
		endpoint.Host = v.host + "." + domain
	}
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{
			RootCAs: roots, MinVersion: tls.VersionTLS12,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if v.certificate == nil {
					return &tls.Certificate{}, nil
				}
				return v.certificate, nil
			},
		},
	}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), prompt)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, endpoint.JoinPath(path).String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if v.token != "" {
		request.Header.Set("Authorization", "Bearer "+v.token)
	}
	if v.header != "" {
		request.Header.Set("ssl-client-cert", v.header)
		request.Header.Set("ssl-client-verify", "SUCCESS")
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	return response.StatusCode, response.TLS.PeerCertificates[0], nil
}

// awaitStatus waits until the caller gets that status.
func (v caller) awaitStatus(t *testing.T, of *cluster, path string, want int) {
	t.Helper()
	eventually(t, restarted, fmt.Sprintf("%s answers %d", path, want), func() string {
		if status, _, err := v.get(t, of, path); err != nil || status != want {
			return fmt.Sprintf("status %d (%v)", status, err)
		}
		return ""
	})
}

// metadataIngress is the Ingress that the templates rendered.
func (c *cluster) metadataIngress(t *testing.T) *networkingv1.Ingress {
	t.Helper()
	ingress, err := c.typed.NetworkingV1().Ingresses(moduleNamespace).Get(context.Background(), exporterName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ingress
}

// clientCertificate is what the cluster proves itself with to its peers.
func (c *cluster) clientCertificate(t *testing.T) *tls.Certificate {
	t.Helper()
	secret, err := c.typed.CoreV1().Secrets(moduleNamespace).Get(context.Background(), "d8-remote-client-certificate", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	return &pair
}

// tokenForPeer is the other proof, for what the scope says.
func (c *cluster) tokenForPeer(t *testing.T, peer *cluster, scope string) string {
	t.Helper()
	secret, err := c.typed.CoreV1().Secrets(moduleNamespace).Get(context.Background(), "d8-remote-authn-keypair", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	key, err := authn.ParsePrivateKey(string(secret.Data["priv.pem"]))
	if err != nil {
		t.Fatal(err)
	}
	token, err := authn.SignForPeer(key, c.described(t).ClusterUUID, peer.described(t).ClusterUUID, scope, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// asHeader is the certificate as ingress-nginx writes it.
func asHeader(certificate *tls.Certificate) string {
	return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})))
}

func TestMetadataIsServedByTheIngressThatTheModuleRenders(t *testing.T) {
	awaitPeers(t)
	ingress := suite.b.metadataIngress(t)
	eventually(t, prompt, "the controller publishes its address", func() string {
		if ingress = suite.b.metadataIngress(t); len(ingress.Status.LoadBalancer.Ingress) != 1 || ingress.Status.LoadBalancer.Ingress[0].IP == "" {
			return fmt.Sprintf("the status is %+v", ingress.Status)
		}
		return ""
	})
	secret, err := suite.b.typed.CoreV1().Secrets(moduleNamespace).Get(context.Background(), ingress.Spec.TLS[0].SecretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	own, _ := pem.Decode(secret.Data["tls.crt"])
	for _, host := range []string{"istio", "istio-metadata"} {
		status, server, err := caller{host: host}.get(t, suite.b, metadata.PublicPath)
		if err != nil || status != http.StatusOK {
			t.Fatalf("host %s: status %d (%v)", host, status, err)
		}
		if !bytes.Equal(server.Raw, own.Bytes) {
			t.Errorf("host %s: the certificate of %s is shown, not that of the Ingress", host, server.Subject)
		}
	}
	if status, _, err := (caller{}).get(t, suite.b, "../elsewhere"); err != nil || status != http.StatusNotFound {
		t.Errorf("a path that is not in the Ingress: status %d (%v)", status, err)
	}
	namespace := suite.b.namespace(t)
	suite.a.awaitImported(t, suite.b.publish(t, namespace, "web"), prompt)
	eventually(t, prompt, "the controller's log names the peer's request", func() string {
		if !suite.b.hasRouted(t, ingress, "/metadata/"+metadata.FederationPath) {
			return "no request of the Ingress' route was answered 200"
		}
		return ""
	})
}

// hasRouted reports from its access log whether the controller answered a request for the path by the Ingress' rules.
func (c *cluster) hasRouted(t *testing.T, ingress *networkingv1.Ingress, path string) bool {
	t.Helper()
	route := ingress.Namespace + "-" + ingress.Name + "-"
	for line := range strings.Lines(c.logs(t, ingressController)) {
		var entry struct {
			RouterName, RequestPath string
			DownstreamStatus        int
		}
		if json.Unmarshal([]byte(line), &entry) == nil && strings.Contains(entry.RouterName, route) &&
			entry.RequestPath == path && entry.DownstreamStatus == http.StatusOK {
			return true
		}
	}
	return false
}

func TestOnlyATokenIsProofWhenTheControllerTerminatesTLS(t *testing.T) {
	awaitPeers(t)
	certificate := suite.a.clientCertificate(t)
	for name, test := range map[string]struct {
		caller caller
		want   int
	}{
		"a token":                         {caller{token: suite.a.tokenForPeer(t, suite.b, authn.ScopePrivateFederation)}, http.StatusOK},
		"nothing":                         {caller{}, http.StatusUnauthorized},
		"a certificate":                   {caller{certificate: certificate}, http.StatusUnauthorized},
		"a certificate in nginx's header": {caller{header: asHeader(certificate)}, http.StatusUnauthorized},
		"a token for another cluster":     {caller{token: suite.b.tokenForPeer(t, suite.a, authn.ScopePrivateFederation)}, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			if status, _, err := test.caller.get(t, suite.b, metadata.FederationPath); err != nil || status != test.want {
				t.Errorf("status %d (%v), want %d", status, err, test.want)
			}
		})
	}
}

func TestACertificateIsSufficientWhenTheControllerPassesTLSThrough(t *testing.T) {
	awaitPeers(t)
	namespace := suite.b.namespace(t)
	before := suite.b.publish(t, namespace, "before")
	entry := suite.a.awaitSettled(t, before)
	certificate := suite.a.clientCertificate(t)
	t.Cleanup(func() {
		suite.b.configure(t, suite.module, map[string]any{"settings": map[string]any{"alliance": nil}})
		caller{certificate: certificate}.awaitStatus(t, suite.b, metadata.FederationPath, http.StatusUnauthorized)
		caller{certificate: certificate, host: "istio-metadata"}.awaitStatus(t, suite.b, metadata.FederationPath, http.StatusUnauthorized)
		awaitPeers(t)
	})
	suite.b.configure(t, suite.module, map[string]any{"settings": map[string]any{"alliance": map[string]any{
		"metadataEndpoint": map[string]any{"clientCertificates": "Passthrough"},
	}}})
	// The controller takes up the two Ingresses one after the other.
	caller{certificate: certificate}.awaitStatus(t, suite.b, metadata.FederationPath, http.StatusOK)
	caller{certificate: certificate, host: "istio-metadata"}.awaitStatus(t, suite.b, metadata.FederationPath, http.StatusOK)

	stranger := certtest.NewRoot("stranger", time.Now()).Client(time.Now())
	own := suite.b.clientCertificate(t)
	for name, test := range map[string]struct {
		caller caller
		path   string
		want   int
	}{
		"the peer's":                         {caller{certificate: certificate}, metadata.FederationPath, http.StatusOK},
		"the peer's, for the other document": {caller{certificate: certificate}, metadata.MulticlusterPath, http.StatusUnauthorized},
		"a stranger's":                       {caller{certificate: &stranger}, metadata.FederationPath, http.StatusUnauthorized},
		"the cluster's own":                  {caller{certificate: own}, metadata.FederationPath, http.StatusUnauthorized},
		"the peer's, in a header only":       {caller{header: asHeader(certificate)}, metadata.FederationPath, http.StatusUnauthorized},
		"none":                               {caller{}, metadata.FederationPath, http.StatusUnauthorized},
		"only a token":                       {caller{token: suite.a.tokenForPeer(t, suite.b, authn.ScopePrivateFederation)}, metadata.FederationPath, http.StatusOK},
		"none, for the public document":      {caller{}, metadata.PublicPath, http.StatusOK},
		"the peer's, at the metadata's host": {caller{certificate: certificate, host: "istio-metadata"}, metadata.FederationPath, http.StatusOK},
		"a stranger's, at that host":         {caller{certificate: &stranger, host: "istio-metadata"}, metadata.FederationPath, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			if status, _, err := test.caller.get(t, suite.b, test.path); err != nil || status != test.want {
				t.Errorf("status %d (%v), want %d", status, err, test.want)
			}
		})
	}
	suite.a.awaitImported(t, suite.b.publish(t, namespace, "after"), scheduled)
	awaitPeers(t)
	if now := suite.a.imported(t, before); now == nil || now.GetUID() != entry.GetUID() || now.GetResourceVersion() != entry.GetResourceVersion() {
		t.Errorf("the ServiceEntry from before did not stay as it was: %v", now)
	}
}

func TestNoCertificateIsRequestedWhenALoadBalancerTerminatesTLS(t *testing.T) {
	awaitPeers(t)
	t.Cleanup(func() {
		suite.b.configure(t, suite.module, map[string]any{"settings": map[string]any{"https": nil}})
		eventually(t, restarted, "the Ingress names a certificate again", func() string {
			if len(suite.b.metadataIngress(t).Spec.TLS) == 0 {
				return "it has no tls"
			}
			return ""
		})
		awaitPeers(t)
	})
	secret, err := suite.b.typed.CoreV1().Secrets(ingressController.namespace).Get(context.Background(), ingressController.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	own, _ := pem.Decode(secret.Data["tls.crt"])
	suite.b.configure(t, suite.module, map[string]any{"settings": map[string]any{"https": map[string]any{"mode": "OnlyInURI"}}})
	eventually(t, restarted, "the controller's own certificate is shown", func() string {
		if ingress := suite.b.metadataIngress(t); len(ingress.Spec.TLS) != 0 {
			return fmt.Sprintf("the Ingress has the tls %+v", ingress.Spec.TLS)
		}
		status, server, err := caller{}.get(t, suite.b, metadata.PublicPath)
		if err != nil || status != http.StatusOK || !bytes.Equal(server.Raw, own.Bytes) {
			return fmt.Sprintf("status %d (%v), certificate of %v", status, err, server)
		}
		return ""
	})
	namespace := suite.b.namespace(t)
	suite.a.awaitImported(t, suite.b.publish(t, namespace, "web"), scheduled)
}

func TestAKilledIngressControllerIsRestartedAndNothingIsLost(t *testing.T) {
	awaitPeers(t)
	namespace := suite.b.namespace(t)
	suite.a.awaitSettled(t, suite.b.publish(t, namespace, "web"))
	before := suite.a.entriesOf(t, namespace)
	t.Cleanup(func() { awaitPeers(t) })
	suite.b.kill(t, ingressController)
	caller{token: suite.a.tokenForPeer(t, suite.b, authn.ScopePrivateFederation)}.awaitStatus(t, suite.b, metadata.FederationPath, http.StatusOK)
	suite.a.awaitImported(t, suite.b.publish(t, namespace, "later"), scheduled)
	for name, version := range before {
		if now := suite.a.entriesOf(t, namespace)[name]; now != version {
			t.Errorf("ServiceEntry %s was %s and is %q", name, version, now)
		}
	}
}
