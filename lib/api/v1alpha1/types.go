// Package v1alpha1 holds the Go types of the module's custom resources,
// deckhouse.io/v1alpha1 IstioFederation and IstioMulticluster. Their schema,
// with validation, is crds/*.yaml; field names marked D in the contract are
// shared with Deckhouse's own module.
package v1alpha1

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/names"
)

const (
	// APIVersion of both resources.
	APIVersion = "deckhouse.io/v1alpha1"
	// Group of both resources.
	Group = "deckhouse.io"
	// Version of both resources in Group.
	Version = "v1alpha1"

	// IstioFederationKind is the kind that joins this cluster with a sovereign neighbour.
	IstioFederationKind = "IstioFederation"
	// IstioFederationResource is its name in URLs.
	IstioFederationResource = "istiofederations"
	// IstioMulticlusterKind is the kind that makes this cluster and a neighbour one mesh.
	IstioMulticlusterKind = "IstioMulticluster"
	// IstioMulticlusterResource is its name in URLs.
	IstioMulticlusterResource = "istiomulticlusters"

	// FederationRevisions is the ConfigMap in Namespace into which metadata-exporter
	// writes that the peer of an IstioFederation has changed. Its keys are names of
	// resources. What a value says is metadata-exporter's own affair, another one
	// than before wakes the discovery hook.
	FederationRevisions = "federation-revisions"
	// MulticlusterRevisions is FederationRevisions for IstioMulticlusters.
	MulticlusterRevisions = "multicluster-revisions"

	// RefreshAnnotation is what a person writes on a resource to have its peer
	// asked at once, by giving it a value that it has not had.
	RefreshAnnotation = "istio.deckhouse.io/refresh"

	// AcceptIdentityAnnotation is what a person writes on a resource to
	// confirm that a known peer has another identity; its value is the
	// fingerprint that the condition names.
	AcceptIdentityAnnotation = "istio.deckhouse.io/accept-identity"

	// ClusterLocalLabel on a Service or a namespace keeps it out of the mesh over
	// several clusters; any value.
	ClusterLocalLabel = "multicluster.istio.deckhouse.io/cluster-local"

	// PublicServiceLabel on a Service publishes it to federated clusters.
	PublicServiceLabel = "federation.istio.deckhouse.io/public-service"

	// Namespace is where everything the module installs lives.
	Namespace = names.Namespace
)

// IstioFederation joins this cluster with one neighbour whose trust domain differs.
type IstioFederation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   IstioFederationSpec   `json:"spec"`
	Status IstioFederationStatus `json:"status,omitempty"`
}

// IstioFederationSpec is what a person says of the neighbour.
type IstioFederationSpec struct {
	// TrustDomain of the neighbour: its cluster domain.
	TrustDomain string `json:"trustDomain"`

	PeerSpec `json:",inline"`
	// Import lists globs on "<name>.<namespace>" of the services to accept; empty accepts all.
	Import []string `json:"import,omitempty"`
}

// MetadataTLS says how the TLS certificate of a metadata endpoint is verified.
type MetadataTLS struct {
	// CA is a PEM bundle to verify the certificate with, besides the system's roots.
	CA string `json:"ca,omitempty"`
	// InsecureSkipVerify switches the verification off.
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// Types of the conditions of both resources.
const (
	// ConditionReady summarises the others: the join works as a whole.
	ConditionReady = "Ready"
	// ConditionAccepted: nothing in the spec contradicts this cluster or another resource.
	ConditionAccepted = "Accepted"
	// ConditionPublicMetadata: the peer's identity was fetched and is valid.
	ConditionPublicMetadata = "PublicMetadataFetched"
	// ConditionPrivateMetadata: what the peer offers to this cluster was fetched and is valid.
	ConditionPrivateMetadata = "PrivateMetadataFetched"
	// ConditionAPI: the peer's API server answers this cluster through the peer's API proxy (IstioMulticluster only).
	ConditionAPI = "APIReachable"
	// ConditionServices: every published service could be accepted (IstioFederation only).
	ConditionServices = "ServicesAccepted"
)

// IstioFederationStatus is what the hooks learned and did.
type IstioFederationStatus struct {
	PeerStatus `json:",inline"`

	MetadataCache FederationCache `json:"metadataCache,omitempty"`
	// ImportedServices counts the peer's services that exist here as ServiceEntries.
	ImportedServices *int32 `json:"importedServices,omitempty"`
	// RejectedServices names the services that were not accepted, and why.
	RejectedServices []RejectedService `json:"rejectedServices,omitempty"`
}

// RejectedService is one published service that is not imported.
type RejectedService struct {
	Hostname string `json:"hostname"`
	Reason   string `json:"reason"`
	Message  string `json:"message"`
}

// FederationCache is the last valid metadata of the peer.
type FederationCache struct {
	// TrustDomain is the spec.trustDomain that the cache was filled under; it counts for no other.
	TrustDomain string `json:"trustDomain,omitempty"`

	PeerCache `json:",inline"`

	Private *CachedFederation `json:"private,omitempty"`
}

// UnmarshalJSON forgets the ETag of private metadata that is not known: with it,
// a peer would answer that nothing has changed.
func (c *FederationCache) UnmarshalJSON(document []byte) error {
	type plain FederationCache
	if err := json.Unmarshal(document, (*plain)(c)); err != nil {
		return err
	}
	if c.Private == nil || c.Private.PublicServices == nil {
		c.PrivateETag = ""
	}
	return nil
}

// IstioMulticluster makes this cluster and one neighbour a single mesh.
type IstioMulticluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   IstioMulticlusterSpec   `json:"spec"`
	Status IstioMulticlusterStatus `json:"status,omitempty"`
}

// IstioMulticlusterSpec is what a person says of the neighbour.
type IstioMulticlusterSpec struct {
	PeerSpec `json:",inline"`

	EnableIngressGateway *bool `json:"enableIngressGateway,omitempty"`
}

// EntersByGateway is true when the neighbour's Pods are reached through its
// ingress gateway, which is the default.
func (s IstioMulticlusterSpec) EntersByGateway() bool {
	return s.EnableIngressGateway == nil || *s.EnableIngressGateway
}

// IstioMulticlusterStatus is what the hooks learned and did.
type IstioMulticlusterStatus struct {
	PeerStatus `json:",inline"`

	MetadataCache MulticlusterCache `json:"metadataCache,omitempty"`
}

// MulticlusterCache is the last valid metadata of the peer.
type MulticlusterCache struct {
	PeerCache `json:",inline"`

	Private *metadata.Multicluster `json:"private,omitempty"`
}
