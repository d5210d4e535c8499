//go:build e2e

package e2e

import (
	"context"
	"path/filepath"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

func TestTheExporterMayDoWhatItDoesAndNoMore(t *testing.T) {
	awaitJoined(t)
	const user = "system:serviceaccount:" + moduleNamespace + ":" + exporterName
	for name, test := range map[string]struct {
		attributes authorizationv1.ResourceAttributes
		allowed    bool
	}{
		"watch Services everywhere":            {authorizationv1.ResourceAttributes{Verb: "watch", Resource: "services"}, true},
		"annotate IstioFederations":            {authorizationv1.ResourceAttributes{Verb: "patch", Group: v1alpha1.Group, Resource: "istiofederations"}, true},
		"read the neighbours' keys":            {authorizationv1.ResourceAttributes{Verb: "get", Resource: "secrets", Namespace: moduleNamespace, Name: "d8-remote-clusters-public-metadata"}, true},
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
	t.Run("change nothing of an IstioFederation but the annotation", func(t *testing.T) {
		config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(suite.stateDir, suite.a.name, "kubeconfig"))
		if err != nil {
			t.Fatal(err)
		}
		config.Impersonate = rest.ImpersonationConfig{UserName: user}
		as, err := dynamic.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		_, err = as.Resource(federations).Patch(context.Background(), suite.b.name, types.MergePatchType,
			[]byte(`{"spec":{"metadataEndpoint":"https://evil.example/metadata/"}}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			t.Error("the exporter can point a federation at another endpoint")
		}
	})
}
