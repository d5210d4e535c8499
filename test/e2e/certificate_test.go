//go:build e2e

package e2e

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/test/mesh"
)

const (
	// tokenAudience is what istiod demands of workloads' tokens.
	tokenAudience = "istio-ca"
	// workloadTTL is the validity that the tests ask for.
	workloadTTL = time.Hour
)

// secure is a connection to the TLS port of the version's istiod, verified with the cluster's CA.
func (c *cluster) secure(t *testing.T, version istioversion.Version, token string) *grpc.ClientConn {
	t.Helper()
	connection, err := c.trySecure(c.address(t, istiodOf(version), secureXDS), version, c.roots(t), token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

func (c *cluster) trySecure(address string, version istioversion.Version, roots *x509.CertPool, token string) (*grpc.ClientConn, error) {
	return mesh.DialSecure(mesh.Secure{
		Address: address, ServerName: istiodOf(version).name + "." + moduleNamespace + ".svc", Roots: roots, Token: token,
	})
}

// roots are what the Secret cacerts says everybody in the mesh trusts.
func (c *cluster) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	secret, err := c.typed.CoreV1().Secrets(moduleNamespace).Get(context.Background(), "cacerts", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(secret.Data["root-cert.pem"]) {
		t.Fatal("Secret cacerts has no root-cert.pem")
	}
	return roots
}

func TestAWorkloadsCertificateProvesItsServiceAccount(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	namespace := suite.a.namespace(t)
	own := suite.a.spiffe(t, namespace, "default")
	connection := suite.a.secure(t, defaultIstio(), suite.a.tokenFor(t, namespace, "default", tokenAudience))
	for name, asked := range map[string]string{
		"when it asks for its own identity": own,
		"when it asks for that of another":  suite.a.spiffe(t, "kube-system", "default"),
		"when it asks for one of a peer":    suite.b.spiffe(t, namespace, "default"),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), prompt)
			defer cancel()
			certificate, err := mesh.SignCSR(ctx, connection, mesh.Request{
				Identity: asked, ClusterID: suite.a.described(t).ClusterUUID, Validity: workloadTTL,
			})
			if err != nil {
				t.Fatal(err)
			}
			proven, err := certificate.Verify(suite.a.roots(t), time.Now())
			if err != nil || !slices.Equal(proven, []string{own}) {
				t.Errorf("it proves %v (%v), want %s", proven, err, own)
			}
			if _, err := certificate.Verify(suite.b.roots(t), time.Now()); err == nil {
				t.Errorf("it chains to the root of %s, too", suite.b.name)
			}
			if valid := certificate.Leaf.NotAfter.Sub(certificate.Leaf.NotBefore); valid > workloadTTL+5*time.Minute {
				t.Errorf("it is valid for %s, want %s", valid, workloadTTL)
			}
		})
	}
}

func TestIstiodIssuesNoCertificateWithoutAValidToken(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	namespace, elsewhere := suite.a.namespace(t), suite.b.namespace(t)
	for name, token := range map[string]string{
		"none":            "",
		"one made up":     "eyJhbGciOiJub25lIn0.e30.",
		"one for an API":  suite.a.tokenFor(t, namespace, "default", "https://kubernetes.default.svc"),
		"one of a peer's": suite.b.tokenFor(t, elsewhere, "default", tokenAudience),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), prompt)
			defer cancel()
			_, err := mesh.SignCSR(ctx, suite.a.secure(t, defaultIstio(), token), mesh.Request{
				Identity: suite.a.spiffe(t, namespace, "default"), Validity: workloadTTL,
			})
			var answered interface{ GRPCStatus() *status.Status }
			if !errors.As(err, &answered) || answered.GRPCStatus().Code() != codes.Unauthenticated {
				t.Errorf("istiod answers %v, want Unauthenticated", err)
			}
		})
	}
}

func TestASidecarReceivesOnlyWhatItsIdentityMayKnow(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	namespace, other := suite.a.labelled(t, inMesh), suite.a.namespace(t)
	pod := suite.a.run(t, newPod(namespace, "client", nil, nil))
	connection := suite.a.secure(t, defaultIstio(), suite.a.tokenFor(t, namespace, "default", tokenAudience))
	impostor := suite.a.proxyOf(t, pod, defaultIstio())
	impostor.Namespace = other
	for name, test := range map[string]struct {
		proxy   mesh.Proxy
		rejects string
	}{
		"of its own namespace":    {suite.a.proxyOf(t, pod, defaultIstio()), ""},
		"not as one of another's": {impostor, "PermissionDenied"},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := mesh.Connect(connection, test.proxy)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			ctx, cancel := context.WithTimeout(context.Background(), prompt)
			defer cancel()
			_, err = client.Await(ctx, func(*mesh.View) string { return "" })
			if test.rejects == "" && err != nil || test.rejects != "" && (err == nil || !strings.Contains(err.Error(), test.rejects)) {
				t.Errorf("istiod answers %v, want %q", err, test.rejects)
			}
		})
	}
}
