//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const peerAnnotation = "federation.istio.deckhouse.io/peer"

// learnedFrom is everything that the cluster goes by because of a peer, apart
// from when it was last asked and from what other tests' Services come to: status,
// ServiceEntries and DestinationRules that are not of a test's namespace, the
// key it may call with, and for which identities its CA is trusted.
func (c *cluster) learnedFrom(t *testing.T, peer *cluster) map[string]string {
	t.Helper()
	learned := map[string]string{}
	say := func(what string, value any) {
		t.Helper()
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		learned[what] = string(encoded)
	}
	resource, err := c.dynamic.Resource(federations).Get(context.Background(), peer.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	public, _, _ := unstructured.NestedMap(resource.Object, "status", "metadataCache", "public")
	gateways, _, _ := unstructured.NestedSlice(resource.Object, "status", "metadataCache", "private", "ingressGateways")
	say("public metadata", public)
	say("gateways", gateways)
	status, reason, _ := c.condition(peer.name, "Ready")
	say("condition", status+" "+reason)
	accepted := c.trustedPeers(t)[peer.name]
	// That somebody else named one of its roots is remembered, and costs the peer that its certificate alone no longer proves it.
	delete(accepted, "sharedRoots")
	say("which peer the exporter accepts", accepted)
	for _, version := range c.installedVersions() {
		say("anchors in the mesh of "+version.Revision(), c.anchorsFor(t, version.Revision(), peer.described(t).ClusterDomain))
	}
	return learned
}

// awaitSettled waits until the ServiceEntry for the hostname exists and istiod
// has written into its status the addresses that it makes up for it: until
// then its version changes without anybody's doing.
func (c *cluster) awaitSettled(t *testing.T, hostname string) *unstructured.Unstructured {
	t.Helper()
	c.awaitMesh(t, defaultIstio())
	var entry *unstructured.Unstructured
	eventually(t, prompt, hostname+" is known in "+c.name+" and has addresses", func() string {
		if entry = c.imported(t, hostname); entry == nil {
			return "no ServiceEntry"
		}
		if addresses, _, _ := unstructured.NestedSlice(entry.Object, "status", "addresses"); len(addresses) == 0 {
			return "it has no addresses"
		}
		return ""
	})
	return entry
}

// anchorsFor are the domains whose identities the certificates may name that the mesh trusts for this one.
func (c *cluster) anchorsFor(t *testing.T, revision, trustDomain string) []string {
	t.Helper()
	config, err := c.typed.CoreV1().ConfigMaps(moduleNamespace).Get(context.Background(), "istio-"+revision, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var mesh struct {
		CACertificates []struct {
			PEM          string   `json:"pem"`
			TrustDomains []string `json:"trustDomains"`
		} `json:"caCertificates"`
	}
	if err := yaml.Unmarshal([]byte(config.Data["mesh"]), &mesh); err != nil {
		t.Fatal(err)
	}
	domains := map[string]bool{}
	for _, anchor := range mesh.CACertificates {
		if slices.Contains(anchor.TrustDomains, trustDomain) {
			domains[strings.Join(anchor.TrustDomains, ",")] = true
		}
	}
	if len(domains) == 0 {
		t.Errorf("the mesh of %s trusts nobody for %s", revision, trustDomain)
	}
	return slices.Sorted(maps.Keys(domains))
}

// holdToItsDomain fails when an object that was made for the peer says anything of another domain.
func (c *cluster) holdToItsDomain(t *testing.T, peer, trustDomain string) {
	t.Helper()
	for _, resource := range []struct {
		list  func() (*unstructured.UnstructuredList, error)
		hosts func(unstructured.Unstructured) []string
	}{
		{func() (*unstructured.UnstructuredList, error) {
			return c.dynamic.Resource(serviceEntries).List(context.Background(), metav1.ListOptions{})
		}, func(object unstructured.Unstructured) []string {
			hosts, _, _ := unstructured.NestedStringSlice(object.Object, "spec", "hosts")
			return hosts
		}},
		{func() (*unstructured.UnstructuredList, error) {
			return c.dynamic.Resource(destinationRules).List(context.Background(), metav1.ListOptions{})
		}, func(object unstructured.Unstructured) []string {
			host, _, _ := unstructured.NestedString(object.Object, "spec", "host")
			return []string{host}
		}},
	} {
		list, err := resource.list()
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range list.Items {
			if object.GetAnnotations()[peerAnnotation] != peer {
				continue
			}
			for _, host := range resource.hosts(object) {
				if !strings.HasSuffix(host, ".svc."+trustDomain) {
					t.Errorf("%s %s is for %q, which is not of %s", object.GetKind(), object.GetName(), host, trustDomain)
				}
			}
			encoded, err := json.Marshal(object.Object["spec"])
			if err != nil {
				t.Fatal(err)
			}
			for _, identity := range strings.Split(string(encoded), "spiffe://")[1:] {
				if !strings.HasPrefix(identity, trustDomain+"/") {
					t.Errorf("%s %s accepts %.80q", object.GetKind(), object.GetName(), identity)
				}
			}
		}
	}
}

// rootsPEM is what the cluster's peers know of its CA, as anyone may.
func (c *cluster) rootsPEM(t *testing.T) string {
	t.Helper()
	secret, err := c.typed.CoreV1().Secrets(moduleNamespace).Get(context.Background(), "cacerts", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return string(secret.Data["root-cert.pem"])
}
