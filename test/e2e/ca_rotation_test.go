//go:build e2e

package e2e

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/test/mesh"
)

const (
	keptCANamespace = "d8-system"
	keptCAName      = "istio-ca"
	rotationRequest = "istio.deckhouse.io/ca-rotation"
)

// TestTheRootIsRotatedWithoutMistrust changes the CA as the documentation tells
// a person to, up to the moment when both CAs have signed certificates that are
// in use. The rest takes the five minutes that istiod is given to see both roots.
func TestTheRootIsRotatedWithoutMistrust(t *testing.T) {
	awaitPeers(t)
	suite.b.installEveryVersion(t)
	namespace := suite.b.namespace(t)
	former := suite.b.caInUse(t)
	other, err := ca.Generate(suite.b.described(t).ClusterDomain)
	if err != nil {
		t.Fatal(err)
	}
	before := suite.b.certifyByEach(t, namespace)

	suite.b.configure(t, suite.module, map[string]any{"settings": map[string]any{"ca": map[string]any{"cert": other.Cert, "key": other.Key}}})
	t.Cleanup(func() {
		// The new CA stays in use; only the settings go back to what other tests expect.
		suite.b.configure(t, suite.module, map[string]any{"settings": map[string]any{"ca": nil}})
		awaitPeers(t)
	})

	// First everybody gets the new root, and the former CA signs.
	eventually(t, restarted+prompt, "istiod hands out both roots", func() string { return suite.b.handsOut(namespace, former.Root, other.Root) })
	// A request to proceed is deferred so early, as Pods may lack it; a person may withdraw it.
	suite.b.requestOfRotation(t, ca.Proceed)
	eventually(t, prompt, "the request is deferred", func() string { return suite.b.rotationReports("=proceed", "is deferred until") })
	suite.b.requestOfRotation(t, "")
	if got := suite.b.caInUse(t); got.Cert != former.Cert || got.Key != former.Key {
		t.Error("another CA signs before everybody knows its root")
	}
	between := suite.b.certifyByEach(t, namespace)
	for version, certificate := range between {
		if _, err := certificate.Verify(pool(t, former.Root), time.Now()); err != nil {
			t.Errorf("a certificate of istiod %s in the first phase is not the former CA's: %v", version, err)
		}
	}
	known := suite.b.roots(t) // as workloads know them now
	// The peer waits for the private document only, whose version covers the public one.
	eventually(t, scheduled, "the peer knows both roots", func() string { return suite.a.knowsRoots(suite.b.name, former.Root, other.Root) })

	// Then a person says: now. This test reads the roots from istiod, and not from files in Pods.
	suite.b.requestOfRotation(t, ca.ProceedNow)
	after := map[string]*mesh.Certificate{}
	for _, version := range istioversion.All() {
		eventually(t, restarted+prompt, "the new CA signs by way of istiod "+version.Version, func() string {
			after[version.Version] = suite.b.certify(t, version, namespace)
			_, err := after[version.Version].Verify(pool(t, other.Root), time.Now())
			return want("", err)("")
		})
	}
	eventually(t, prompt, "the request is fulfilled", func() string {
		kept, err := suite.b.typed.CoreV1().Secrets(keptCANamespace).Get(context.Background(), keptCAName, metav1.GetOptions{})
		return want(kept.GetAnnotations()[rotationRequest], err)("")
	})

	// Workloads with certificates of either CA accept each other, with the roots they knew and with those they get now.
	given := map[string]*x509.CertPool{"before the switch": known, "after it": suite.b.roots(t)}
	for when, certificates := range map[string]map[string]*mesh.Certificate{"before": before, "between": between, "after": after} {
		for version, certificate := range certificates {
			for whose, roots := range given {
				if _, err := certificate.Verify(roots, time.Now()); err != nil {
					t.Errorf("a certificate of istiod %s from %s is rejected by proxies that got the roots %s: %v", version, when, whose, err)
				}
			}
		}
	}
	if missing := suite.b.handsOut(namespace, former.Root, other.Root); missing != "" {
		t.Errorf("the former root is gone while its certificates are in use: %s", missing)
	}
	// The webhooks' certificate is the new CA's, too.
	for _, version := range istioversion.All() {
		revision := map[string]string{"istio.io/rev": version.Revision()}
		suite.b.awaitRevision(t, newPod(namespace, "client", revision, nil), version.Revision())
	}
	awaitPeers(t)
}

// requestOfRotation tells the module to go on where it would wait for hours, as a person may; "" withdraws that.
func (c *cluster) requestOfRotation(t *testing.T, request ca.Request) {
	t.Helper()
	value := "null"
	if request != "" {
		value = strconv.Quote(string(request))
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%s}}}`, rotationRequest, value)
	_, err := c.typed.CoreV1().Secrets(keptCANamespace).Patch(context.Background(), keptCAName, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// rotationReports says whether no Event about the rotation contains all of the texts.
func (c *cluster) rotationReports(texts ...string) (missing string) {
	events, err := c.typed.CoreV1().Events(metav1.NamespaceDefault).List(context.Background(), metav1.ListOptions{FieldSelector: "reason=CARotation"})
	if err != nil {
		return err.Error()
	}
	for _, event := range events.Items {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(event.Message, text) }) {
			return ""
		}
	}
	return fmt.Sprintf("none of %d Events contains %q", len(events.Items), texts)
}

// certifyByEach has every version's istiod sign a certificate for the namespace's default ServiceAccount.
func (c *cluster) certifyByEach(t *testing.T, namespace string) map[string]*mesh.Certificate {
	t.Helper()
	certificates := map[string]*mesh.Certificate{}
	for _, version := range istioversion.All() {
		certificates[version.Version] = c.certify(t, version, namespace)
	}
	return certificates
}

// caInUse is what istiod signs with.
func (c *cluster) caInUse(t *testing.T) ca.Bundle {
	t.Helper()
	secret, err := c.typed.CoreV1().Secrets(moduleNamespace).Get(context.Background(), "cacerts", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ca.Bundle{Cert: string(secret.Data["ca-cert.pem"]), Key: string(secret.Data["ca-key.pem"]), Root: string(secret.Data["root-cert.pem"])}
}

// certify has the version's istiod, which may be starting just now, sign a certificate for the namespace's default ServiceAccount.
func (c *cluster) certify(t *testing.T, version istioversion.Version, namespace string) (certificate *mesh.Certificate) {
	t.Helper()
	token := c.tokenFor(t, namespace, "default", tokenAudience)
	eventually(t, restarted, "istiod "+version.Version+" signs a certificate", func() string {
		address, err := c.tryAddress(istiodOf(version), secureXDS)
		if err != nil {
			return err.Error()
		}
		connection, err := c.trySecure(address, version, c.roots(t), token)
		if err != nil {
			return err.Error()
		}
		defer func() { _ = connection.Close() }()
		ctx, cancel := context.WithTimeout(context.Background(), prompt)
		defer cancel()
		certificate, err = mesh.SignCSR(ctx, connection, mesh.Request{
			Identity: c.spiffe(t, namespace, "default"), ClusterID: c.described(t).ClusterUUID, Validity: workloadTTL,
		})
		return because(err)
	})
	return certificate
}

// handsOut says which of the roots istiod does not give to the namespace's Pods.
func (c *cluster) handsOut(namespace string, roots ...string) (missing string) {
	config, err := c.typed.CoreV1().ConfigMaps(namespace).Get(context.Background(), "istio-ca-root-cert", metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	return lacks(config.Data["root-cert.pem"], roots)
}

// knowsRoots says which of the roots the cluster has not learned of the peer.
func (c *cluster) knowsRoots(federation string, roots ...string) (missing string) {
	resource, err := c.dynamic.Resource(federations).Get(context.Background(), federation, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	learned, _, _ := unstructured.NestedString(resource.Object, "status", "metadataCache", "public", "rootCA")
	return lacks(learned, roots)
}

func lacks(bundle string, roots []string) (missing string) {
	for _, root := range roots {
		if !strings.Contains(bundle, strings.TrimSpace(root)) {
			return "a root is not there: " + root
		}
	}
	return ""
}

func pool(t *testing.T, root string) *x509.CertPool {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(root)) {
		t.Fatalf("no certificate in %q", root)
	}
	return roots
}
