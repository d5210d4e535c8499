package watcher

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// Kind is a kind of resources that name peers, and the document that is private
// between this cluster and those.
type Kind struct {
	// Name of the kind, "IstioFederation".
	Name string
	// Resource is what is watched.
	Resource schema.GroupVersionResource
	// ConfigMap that pokes are written into.
	ConfigMap string
	// Private is the document that only such peers may read.
	Private metadata.Document
	// prefix tells its peers from those of the other kind in metrics.
	prefix string
}

// Federations are the peers of other trust domains.
var Federations = Kind{
	Name:      v1alpha1.IstioFederationKind,
	Resource:  schema.GroupVersionResource{Group: v1alpha1.Group, Version: v1alpha1.Version, Resource: v1alpha1.IstioFederationResource},
	ConfigMap: v1alpha1.FederationVersions,
	Private:   metadata.FederationDocument,
}

// Multiclusters are the peers in the same mesh.
var Multiclusters = Kind{
	Name:      v1alpha1.IstioMulticlusterKind,
	Resource:  schema.GroupVersionResource{Group: v1alpha1.Group, Version: v1alpha1.Version, Resource: v1alpha1.IstioMulticlusterResource},
	ConfigMap: v1alpha1.MulticlusterVersions,
	Private:   metadata.MulticlusterDocument,
	prefix:    v1alpha1.IstioMulticlusterKind + "/",
}

// label is the peer in metrics.
func (k Kind) label(name string) string { return k.prefix + name }
