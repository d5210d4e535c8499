//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/test/mesh"
)

// TestTrustInAPeerBeginsAndEndsWithItsFederation: every istiod of the cluster
// learns of anchors from its mesh configuration while it runs, and forgets them
// likewise.
func TestTrustInAPeerBeginsAndEndsWithItsFederation(t *testing.T) {
	awaitPeers(t)
	suite.a.installEveryVersion(t)
	namespace := suite.a.labelled(t, inMesh)
	suite.a.serve(t, namespace, "web")
	pod := suite.a.run(t, newPod(namespace, "web", nil, nil))
	sidecars, installed := map[string]*mesh.Client{}, []component{}
	for _, version := range istioversion.All() {
		sidecars[version.Revision()] = suite.a.sidecar(t, pod, version)
		installed = append(installed, istiodOf(version))
	}
	unchanged := suite.a.mustRun(t, installed...)
	everySidecar := func(what string, condition func(*mesh.View) string) {
		t.Helper()
		for revision, sidecar := range sidecars {
			awaitView(t, sidecar, revision+": "+what, condition)
		}
	}

	peer := newFakePeer(t, "newcomer.example")
	const stranger = "spiffe://newcomer.example/"
	everySidecar("the identities of an unknown domain may not come in", admits(stranger, false))
	suite.a.federate(t, peer.federation("newcomer"))
	suite.a.awaitReady(t, "newcomer", scheduled)
	everySidecar("those of a peer may", admits(stranger, true))
	everySidecar("an anchor for it is handed out, and no root", func(view *mesh.View) string {
		return strangers(view, "newcomer.example", 1)
	})

	suite.a.defederate(t, "newcomer")
	everySidecar("its identities may no longer come in", admits(stranger, false))
	everySidecar("no anchor for it is handed out", func(view *mesh.View) string { return strangers(view, "newcomer.example", 0) })
	everySidecar("those of "+suite.b.name+" still may", admits("spiffe://"+suite.b.described(t).ClusterDomain+"/", true))
	unchanged()
}

// admits says how it is not so that the sidecar's application port takes, or does not take, identities that begin so.
func admits(beginning string, wanted bool) func(*mesh.View) string {
	return func(view *mesh.View) string {
		accepted, err := view.Acceptance(applicationPort)
		if err != nil {
			return err.Error()
		}
		if slices.Contains(accepted.Identities, beginning+"*") != wanted {
			return fmt.Sprintf("it takes %v", accepted.Identities)
		}
		return ""
	}
}

// strangers says how it is not so that the sidecar is given that many
// certificates for a trust domain, all of them bounded to it and none a root of its own.
func strangers(view *mesh.View, domain string, count int) (missing string) {
	trusted, err := view.Trusted()
	if err != nil {
		return err.Error()
	}
	found := 0
	for _, certificate := range trusted {
		bounded := slices.Equal(certificate.PermittedURIDomains, []string{domain})
		if !bounded && !strings.Contains(certificate.Subject.String(), domain) {
			continue
		}
		if found++; !bounded || !certificate.PermittedDNSDomainsCritical || certificate.CheckSignatureFrom(certificate) == nil {
			return fmt.Sprintf("%s is trusted without bounds", certificate.Subject)
		}
	}
	if found != count {
		return fmt.Sprintf("%d of %d certificates are for %s, want %d", found, len(trusted), domain, count)
	}
	return ""
}

// setAside deletes the federation and returns what restores it, which also
// happens when the test ends.
func (c *cluster) setAside(t *testing.T, name string) (restore func()) {
	t.Helper()
	kept, err := c.dynamic.Resource(federations).Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	again := &unstructured.Unstructured{Object: newFederation(name, kept.Object["spec"].(map[string]any))}
	restored := false
	restore = func() {
		if restored {
			return
		}
		restored = true
		if _, err := c.dynamic.Resource(federations).Create(context.Background(), again, metav1.CreateOptions{}); err != nil {
			t.Errorf("restore IstioFederation %s of %s: %v", name, c.name, err)
		}
	}
	t.Cleanup(func() {
		restore()
		awaitPeers(t)
	})
	c.defederate(t, name)
	return restore
}
