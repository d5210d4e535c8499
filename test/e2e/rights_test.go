//go:build e2e

package e2e

import (
	"context"
	"path/filepath"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

func TestTheExporterMayDoWhatItDoesAndNoMore(t *testing.T) {
	awaitPeers(t)
	const user = "system:serviceaccount:" + moduleNamespace + ":" + exporterName
	for name, test := range map[string]struct {
		attributes authorizationv1.ResourceAttributes
		allowed    bool
	}{
		"watch Services everywhere":            {authorizationv1.ResourceAttributes{Verb: "watch", Resource: "services"}, true},
		"watch IstioFederations":               {authorizationv1.ResourceAttributes{Verb: "watch", Group: v1alpha1.Group, Resource: "istiofederations"}, true},
		"write document versions":              {authorizationv1.ResourceAttributes{Verb: "patch", Resource: "configmaps", Namespace: moduleNamespace, Name: v1alpha1.FederationVersions}, true},
		"not patch IstioFederations":           {authorizationv1.ResourceAttributes{Verb: "patch", Group: v1alpha1.Group, Resource: "istiofederations"}, false},
		"not update IstioFederations":          {authorizationv1.ResourceAttributes{Verb: "update", Group: v1alpha1.Group, Resource: "istiofederations"}, false},
		"not patch its own documents":          {authorizationv1.ResourceAttributes{Verb: "patch", Resource: "configmaps", Namespace: moduleNamespace, Name: exporterName}, false},
		"not patch the mesh's configuration":   {authorizationv1.ResourceAttributes{Verb: "patch", Resource: "configmaps", Namespace: moduleNamespace, Name: "istio-" + defaultIstio().Revision()}, false},
		"not patch namesakes elsewhere":        {authorizationv1.ResourceAttributes{Verb: "patch", Resource: "configmaps", Namespace: "default", Name: v1alpha1.FederationVersions}, false},
		"not create ConfigMaps":                {authorizationv1.ResourceAttributes{Verb: "create", Resource: "configmaps", Namespace: moduleNamespace}, false},
		"not delete the ConfigMap of those":    {authorizationv1.ResourceAttributes{Verb: "delete", Resource: "configmaps", Namespace: moduleNamespace, Name: v1alpha1.FederationVersions}, false},
		"not list ConfigMaps":                  {authorizationv1.ResourceAttributes{Verb: "list", Resource: "configmaps", Namespace: moduleNamespace}, false},
		"read the peers' keys":                 {authorizationv1.ResourceAttributes{Verb: "get", Resource: "secrets", Namespace: moduleNamespace, Name: "d8-remote-clusters-public-metadata"}, true},
		"not read the CA":                      {authorizationv1.ResourceAttributes{Verb: "get", Resource: "secrets", Namespace: moduleNamespace, Name: "cacerts"}, false},
		"not list Secrets":                     {authorizationv1.ResourceAttributes{Verb: "list", Resource: "secrets", Namespace: moduleNamespace}, false},
		"not read Secrets of others":           {authorizationv1.ResourceAttributes{Verb: "get", Resource: "secrets", Namespace: "kube-system"}, false},
		"not delete IstioFederations":          {authorizationv1.ResourceAttributes{Verb: "delete", Group: v1alpha1.Group, Resource: "istiofederations"}, false},
		"not write the status of a federation": {authorizationv1.ResourceAttributes{Verb: "patch", Group: v1alpha1.Group, Resource: "istiofederations", Subresource: "status"}, false},
		"not change Services":                  {authorizationv1.ResourceAttributes{Verb: "patch", Resource: "services"}, false},
		"not create ServiceEntries":            {authorizationv1.ResourceAttributes{Verb: "create", Group: "networking.istio.io", Resource: "serviceentries"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			review, err := suite.a.typed.AuthorizationV1().SubjectAccessReviews().Create(context.Background(), &authorizationv1.SubjectAccessReview{
				Spec: authorizationv1.SubjectAccessReviewSpec{
					User: user, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + moduleNamespace, "system:authenticated"},
					ResourceAttributes: &test.attributes,
				},
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if review.Status.Allowed != test.allowed {
				t.Errorf("allowed = %t (%s), want %t", review.Status.Allowed, review.Status.Reason, test.allowed)
			}
		})
	}
	t.Run("change nothing but that ConfigMap", func(t *testing.T) {
		config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(suite.stateDir, suite.a.name, "kubeconfig"))
		if err != nil {
			t.Fatal(err)
		}
		config.Impersonate = rest.ImpersonationConfig{UserName: user}
		as, err := dynamic.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		configMaps := as.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(moduleNamespace)
		for name, test := range map[string]struct {
			of      dynamic.ResourceInterface
			object  string
			patch   string
			allowed bool
		}{
			"the ConfigMap of document versions": {configMaps, v1alpha1.FederationVersions, `{"data":{"nobody":"x"}}`, true},
			"the endpoint of an IstioFederation": {as.Resource(federations), suite.b.name, `{"spec":{"metadataEndpoint":"https://evil.example/metadata/"}}`, false},
			"an annotation of one":               {as.Resource(federations), suite.b.name, `{"metadata":{"annotations":{"` + v1alpha1.RefreshAnnotation + `":"x"}}}`, false},
			"another ConfigMap":                  {configMaps, exporterName, `{"data":{"public.json":"{}"}}`, false},
		} {
			_, err := test.of.Patch(context.Background(), test.object, types.MergePatchType, []byte(test.patch), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
			if allowed := err == nil; allowed != test.allowed || !test.allowed && !apierrors.IsForbidden(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
