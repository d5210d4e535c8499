package guarded

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// foreignDefinitions are CRDs of projects that are not Istio: of what
// peers may read, and of similar names that they may not read.
func foreignDefinitions() []*apiextensionsv1.CustomResourceDefinition {
	return []*apiextensionsv1.CustomResourceDefinition{
		definition("gateway.networking.k8s.io", "gateways", "Gateway", "v1", "v1beta1"),
		definition("gateway.networking.k8s.io", "httproutes", "HTTPRoute", "v1", "v1beta1"),
		definition("multicluster.x-k8s.io", "serviceexports", "ServiceExport", "v1alpha1"),
		definition("multicluster.x-k8s.io", "serviceimports", "ServiceImport", "v1alpha1"),
		definition("lookalike.example", "secrets", "Secret", "v1"),
		definition("lookalike.example", "pods", "Pod", "v1"),
		definition("lookalike.example", "services", "Service", "v1"),
	}
}

// definition has no schema to speak of, and both of the subresources there are.
func definition(group, plural, kind string, versions ...string) *apiextensionsv1.CustomResourceDefinition {
	made := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{
			Name: plural + "." + group,
			// Groups of Kubernetes' own domain need it.
			Annotations: map[string]string{"api-approved.kubernetes.io": "unapproved, for a test"},
		},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: plural, Kind: kind},
		},
	}
	for index, version := range versions {
		made.Spec.Versions = append(made.Spec.Versions, apiextensionsv1.CustomResourceDefinitionVersion{
			Name: version, Served: true, Storage: index == 0,
			Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
				Type: "object", XPreserveUnknownFields: ptr.To(true),
			}},
			Subresources: &apiextensionsv1.CustomResourceSubresources{
				Status: &apiextensionsv1.CustomResourceSubresourceStatus{},
				Scale:  &apiextensionsv1.CustomResourceSubresourceScale{SpecReplicasPath: ".spec.replicas", StatusReplicasPath: ".status.replicas"},
			},
		})
	}
	return made
}
