//go:build e2e

package e2e

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// right is one that a program has, or has not.
type right struct {
	verb, group, resource, subresource, namespace, name string
}

func TestTheExporterMayDoWhatItDoesAndNoMore(t *testing.T) {
	awaitPeers(t)
	suite.a.hasRights(t, exporterName, map[string]right{
		"watch Services everywhere":         {verb: "watch", resource: "services"},
		"watch IstioFederations":            {verb: "watch", group: v1alpha1.Group, resource: v1alpha1.IstioFederationResource},
		"read its documents":                {verb: "get", resource: "configmaps", namespace: moduleNamespace, name: exporterName},
		"read the public keys of the peers": {verb: "get", resource: "secrets", namespace: moduleNamespace, name: "d8-remote-clusters-public-metadata"},
	}, map[string]right{
		"write document versions":           {verb: "patch", resource: "configmaps", namespace: moduleNamespace, name: v1alpha1.FederationVersions},
		"read the key that signs tokens":    {verb: "get", resource: "secrets", namespace: moduleNamespace, name: "d8-remote-authn-keypair"},
		"read the client certificate's key": {verb: "get", resource: "secrets", namespace: moduleNamespace, name: "d8-remote-client-certificate"},
		"read its own listener's key":       {verb: "get", resource: "secrets", namespace: moduleNamespace, name: "metadata-exporter-tls"},
		"read the CA":                       {verb: "get", resource: "secrets", namespace: moduleNamespace, name: "cacerts"},
		"list Secrets":                      {verb: "list", resource: "secrets", namespace: moduleNamespace},
		"read Secrets of others":            {verb: "get", resource: "secrets", namespace: "kube-system"},
		"list ConfigMaps":                   {verb: "list", resource: "configmaps", namespace: moduleNamespace},
		"start a program":                   {verb: "create", resource: "pods", namespace: moduleNamespace},
		"run a command in one":              {verb: "create", resource: "pods", subresource: "exec", namespace: moduleNamespace},
		"make a token of another account":   {verb: "create", resource: "serviceaccounts", subresource: "token", namespace: moduleNamespace},
	})
	suite.a.writes(t, exporterName, map[string]bool{})
	// Not one right among all that it has is to write, whatever the resource.
	for _, namespace := range []string{moduleNamespace, "default", "kube-system"} {
		review, err := suite.a.as(t, exporterName).AuthorizationV1().SelfSubjectRulesReviews().Create(context.Background(),
			&authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range review.Status.ResourceRules {
			// What everybody who is signed in may ask about themselves.
			if slices.Contains(rule.APIGroups, "authorization.k8s.io") || slices.Contains(rule.APIGroups, "authentication.k8s.io") {
				continue
			}
			for _, verb := range rule.Verbs {
				if !slices.Contains([]string{"get", "list", "watch"}, verb) {
					t.Errorf("in %s it may %s %v %v", namespace, verb, rule.APIGroups, rule.Resources)
				}
			}
		}
	}
}

func TestTheExporterMayAskTheAPIServerAndNobodyElse(t *testing.T) {
	servers, err := suite.a.typed.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).Get(context.Background(), "kubernetes", metav1.GetOptions{})
	if err != nil || len(servers.Ports) != 1 {
		t.Fatalf("the API servers' EndpointSlice has the ports %v: %v", servers.Ports, err)
	}
	listening := strconv.Itoa(int(*servers.Ports[0].Port))
	eventually(t, scheduled, "the exporter's NetworkPolicy names the API server's port", func() string {
		policy, err := suite.a.typed.NetworkingV1().NetworkPolicies(moduleNamespace).Get(context.Background(), exporterName, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		var ports []string
		for _, rule := range policy.Spec.Egress {
			for _, port := range rule.Ports {
				ports = append(ports, port.Port.String())
			}
		}
		return unless(len(ports) == 2 && slices.Contains(ports, listening) && slices.Contains(ports, "443"), "it allows the ports %v, want %s and 443", ports, listening)
	})
}

func TestTheWatcherMayDoWhatItDoesAndNoMore(t *testing.T) {
	awaitPeers(t)
	suite.a.hasRights(t, watcherName, map[string]right{
		"watch IstioFederations":  {verb: "watch", group: v1alpha1.Group, resource: v1alpha1.IstioFederationResource},
		"write document versions": {verb: "patch", resource: "configmaps", namespace: moduleNamespace, name: v1alpha1.FederationVersions},
	}, map[string]right{
		"patch IstioFederations":           {verb: "patch", group: v1alpha1.Group, resource: v1alpha1.IstioFederationResource},
		"update IstioFederations":          {verb: "update", group: v1alpha1.Group, resource: v1alpha1.IstioFederationResource},
		"delete IstioFederations":          {verb: "delete", group: v1alpha1.Group, resource: v1alpha1.IstioFederationResource},
		"write the status of a federation": {verb: "patch", group: v1alpha1.Group, resource: v1alpha1.IstioFederationResource, subresource: "status"},
		"patch the exporter's documents":   {verb: "patch", resource: "configmaps", namespace: moduleNamespace, name: exporterName},
		"patch the mesh's configuration":   {verb: "patch", resource: "configmaps", namespace: moduleNamespace, name: "istio-" + defaultIstio().Revision()},
		"patch namesakes elsewhere":        {verb: "patch", resource: "configmaps", namespace: "default", name: v1alpha1.FederationVersions},
		"create ConfigMaps":                {verb: "create", resource: "configmaps", namespace: moduleNamespace},
		"delete the ConfigMap of versions": {verb: "delete", resource: "configmaps", namespace: moduleNamespace, name: v1alpha1.FederationVersions},
		"list ConfigMaps":                  {verb: "list", resource: "configmaps", namespace: moduleNamespace},
		"read the CA":                      {verb: "get", resource: "secrets", namespace: moduleNamespace, name: "cacerts"},
		"read the peers' keys":             {verb: "get", resource: "secrets", namespace: moduleNamespace, name: "d8-remote-clusters-public-metadata"},
		"list Secrets":                     {verb: "list", resource: "secrets", namespace: moduleNamespace},
		"watch Services":                   {verb: "watch", resource: "services"},
		"watch Pods":                       {verb: "watch", resource: "pods"},
		"change Services":                  {verb: "patch", resource: "services"},
		"create ServiceEntries":            {verb: "create", group: "networking.istio.io", resource: "serviceentries"},
	})
	suite.a.writes(t, watcherName, map[string]bool{"the ConfigMap of document versions": true})
}

// as is a client with a token of that ServiceAccount of the module.
func (c *cluster) as(t *testing.T, account string) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(c.configOf(t, account))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (c *cluster) configOf(t *testing.T, account string) *rest.Config {
	t.Helper()
	token, err := c.typed.CoreV1().ServiceAccounts(moduleNamespace).CreateToken(context.Background(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(c.config)
	config.BearerToken = token.Status.Token
	return config
}

// hasRights asks the API server, with a token of the ServiceAccount, whether it has the one rights and not the others.
func (c *cluster) hasRights(t *testing.T, account string, allowed, denied map[string]right) {
	t.Helper()
	client := c.as(t, account)
	for _, want := range []struct {
		rights  map[string]right
		allowed bool
	}{{allowed, true}, {denied, false}} {
		for name, one := range want.rights {
			review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(context.Background(), &authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
					Verb: one.verb, Group: one.group, Resource: one.resource, Subresource: one.subresource, Namespace: one.namespace, Name: one.name,
				}},
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if review.Status.Allowed != want.allowed {
				t.Errorf("%s may %s: %t (%s), want %t", account, name, review.Status.Allowed, review.Status.Reason, want.allowed)
			}
		}
	}
}

// writes tries, with a token of the ServiceAccount, what an attacker would: only those that are named may succeed.
func (c *cluster) writes(t *testing.T, account string, allowed map[string]bool) {
	t.Helper()
	client, err := dynamic.NewForConfig(c.configOf(t, account))
	if err != nil {
		t.Fatal(err)
	}
	inNamespace := client.Resource(configMaps).Namespace(moduleNamespace)
	peer := suite.b.name
	patches := map[string]struct {
		of            dynamic.ResourceInterface
		object, patch string
	}{
		"the ConfigMap of document versions": {inNamespace, v1alpha1.FederationVersions, `{"data":{"nobody":"x"}}`},
		"the endpoint of an IstioFederation": {client.Resource(federations), peer, `{"spec":{"metadataEndpoint":"https://evil.example/metadata/"}}`},
		"an annotation of one":               {client.Resource(federations), peer, `{"metadata":{"annotations":{"` + v1alpha1.RefreshAnnotation + `":"x"}}}`},
		"the exporter's documents":           {inNamespace, exporterName, `{"data":{"public.json":"{}"}}`},
	}
	for _, name := range slices.Sorted(maps.Keys(patches)) {
		test := patches[name]
		_, err := test.of.Patch(context.Background(), test.object, types.MergePatchType, []byte(test.patch), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		if written := err == nil; written != allowed[name] || !written && !apierrors.IsForbidden(err) {
			t.Errorf("%s writes %s: %v", account, name, err)
		}
	}
	for _, name := range []string{"d8-remote-authn-keypair", "d8-remote-client-certificate", "cacerts"} {
		if _, err := client.Resource(secrets).Namespace(moduleNamespace).Get(context.Background(), name, metav1.GetOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("%s reads Secret %s: %v", account, name, err)
		}
	}
}
