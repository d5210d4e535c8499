// Package v1alpha1 holds the Go types of the module's custom resources,
// deckhouse.io/v1alpha1 IstioFederation and IstioMulticluster. Their schema,
// with validation, is crds/*.yaml; field names marked D in the contract are
// shared with Deckhouse's own module. `make deepcopy` generates
// zz_generated.deepcopy.go after a change of a type.
//
// +k8s:deepcopy-gen=package
package v1alpha1
