//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestDeletingAFederationRemovesWhatCameFromItAndNothingElse(t *testing.T) {
	awaitPeers(t)
	namespace := suite.b.namespace(t)
	kept := suite.b.publish(t, namespace, "web")
	peer := newFakePeer(t, "leaving.example")
	suite.a.federate(t, peer.federation("leaving"))
	suite.a.awaitReady(t, "leaving", scheduled)
	suite.a.awaitImported(t, peer.hostname(), prompt)
	keptEntry := suite.a.awaitSettled(t, kept)
	eventually(t, prompt, "the peer's key and root are trusted", func() string {
		if _, ok := suite.a.trustedPeers(t)["leaving"]; !ok {
			return "they are not in the Secret"
		}
		return ""
	})

	suite.a.defederate(t, "leaving")
	suite.a.awaitForgotten(t, peer.hostname(), prompt)
	eventually(t, prompt, "the peer's key and root are no longer trusted", func() string {
		if _, ok := suite.a.trustedPeers(t)["leaving"]; ok {
			return "they are in the Secret"
		}
		return ""
	})
	if _, ok := suite.a.trustedPeers(t)[suite.b.name]; !ok {
		t.Errorf("%s is no longer trusted either", suite.b.name)
	}
	after := suite.a.imported(t, kept)
	if after == nil || after.GetUID() != keptEntry.GetUID() || after.GetResourceVersion() != keptEntry.GetResourceVersion() {
		t.Errorf("the ServiceEntry of another peer did not stay as it was: %v", after)
	}
}

// trustedPeers are the peers whose keys and roots the module trusts, by resource name.
func (c *cluster) trustedPeers(t *testing.T) map[string]map[string]any {
	t.Helper()
	secret, err := c.typed.CoreV1().Secrets(moduleNamespace).Get(context.Background(), "d8-remote-clusters-public-metadata", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var byUUID map[string]map[string]any
	if err := json.Unmarshal(secret.Data["remote-public-metadata.json"], &byUUID); err != nil {
		t.Fatal(err)
	}
	byName := map[string]map[string]any{}
	for _, peer := range byUUID {
		byName[text(peer["name"])] = peer
	}
	return byName
}

func TestInvalidFederationsAreRejectedByTheAPIServer(t *testing.T) {
	const endpoint = "https://istio.example.com/metadata/"
	for name, test := range map[string]struct {
		spec map[string]any
		want string
	}{
		"a plain http endpoint":       {map[string]any{"trustDomain": "x.example", "metadataEndpoint": "http://istio.example.com/metadata/"}, "https"},
		"an endpoint with a query":    {map[string]any{"trustDomain": "x.example", "metadataEndpoint": endpoint + "?a=b"}, "query"},
		"an endpoint with a fragment": {map[string]any{"trustDomain": "x.example", "metadataEndpoint": endpoint + "#a"}, "fragment"},
		"no endpoint":                 {map[string]any{"trustDomain": "x.example"}, "metadataEndpoint"},
		"no trust domain":             {map[string]any{"metadataEndpoint": endpoint}, "trustDomain"},
		"an empty trust domain":       {map[string]any{"trustDomain": "", "metadataEndpoint": endpoint}, "trustDomain"},
		"a trust domain in capitals":  {map[string]any{"trustDomain": "X.Example", "metadataEndpoint": endpoint}, "trustDomain"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := suite.a.dynamic.Resource(federations).Create(context.Background(),
				&unstructured.Unstructured{Object: newFederation("rejected", test.spec)}, metav1.CreateOptions{})
			if err == nil {
				suite.a.defederate(t, "rejected")
			}
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("the API server answers %v, want to be rejected with %q in the reason", err, test.want)
			}
		})
	}
}

func TestAFederationWithThisClustersOwnTrustDomainIsRejectedInItsCondition(t *testing.T) {
	suite.a.federate(t, newFederation("mirror", map[string]any{
		"trustDomain": suite.a.described(t).ClusterDomain, "metadataEndpoint": suite.b.described(t).MetadataEndpoint,
	}))
	eventually(t, prompt, "the condition says what is wrong", func() string {
		status, reason, message := suite.a.condition("mirror", "Ready")
		if status != "False" || reason != "TrustDomainIsOwn" || message == "" {
			return fmt.Sprintf("Ready=%s %s: %s", status, reason, message)
		}
		return ""
	})
}
