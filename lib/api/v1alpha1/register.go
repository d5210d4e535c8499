package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion of both resources.
var GroupVersion = schema.GroupVersion{Group: Group, Version: Version}

// AddToScheme registers both resources, for clients that use these types.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &IstioFederation{}, &IstioFederationList{}, &IstioMulticluster{}, &IstioMulticlusterList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
