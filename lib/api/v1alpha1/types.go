package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

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

	// IstioFederationKind is the kind that describes a sovereign peer.
	IstioFederationKind = "IstioFederation"
	// IstioFederationResource is its name in URLs.
	IstioFederationResource = "istiofederations"
	// IstioMulticlusterKind is the kind that makes this cluster and a peer one mesh.
	IstioMulticlusterKind = "IstioMulticluster"
	// IstioMulticlusterResource is its name in URLs.
	IstioMulticlusterResource = "istiomulticlusters"

	// FederationVersions is the ConfigMap in Namespace in which metadata-watcher
	// reports that the metadata of an IstioFederation's peer has changed. Its keys are names of
	// resources. Only metadata-watcher interprets the values; a changed value wakes the discovery hook.
	FederationVersions = "federation-revisions"
	// MulticlusterVersions is FederationVersions for IstioMulticlusters.
	MulticlusterVersions = "multicluster-revisions"

	// RefreshAnnotation on a resource has its peer polled at once when a person
	// gives it a value that it has not had.
	RefreshAnnotation = "istio.deckhouse.io/refresh"

	// AcceptIdentityAnnotation on a resource is a person's confirmation that a
	// known peer has another identity; its value is the fingerprint that the condition names.
	AcceptIdentityAnnotation = "istio.deckhouse.io/accept-identity"

	// ClusterLocalLabel on a Service or a namespace excludes it from the mesh over
	// several clusters; any value.
	ClusterLocalLabel = "multicluster.istio.deckhouse.io/cluster-local"

	// PublicServiceLabel on a Service publishes it to federated clusters.
	PublicServiceLabel = "federation.istio.deckhouse.io/public-service"

	// Namespace contains everything that the module installs.
	Namespace = names.Namespace
)

// GroupVersion of both resources.
var GroupVersion = schema.GroupVersion{Group: Group, Version: Version}

// IstioFederation federates this cluster with one peer whose trust domain differs.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type IstioFederation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   IstioFederationSpec   `json:"spec"`
	Status IstioFederationStatus `json:"status,omitempty"`
}

// IstioFederationSpec is the desired state.
type IstioFederationSpec struct {
	// TrustDomain of the peer: its cluster domain.
	TrustDomain string `json:"trustDomain"`

	PeerSpec `json:",inline"`

	// Import lists globs on "<name>.<namespace>" of the services to accept; empty accepts all.
	Import []string `json:"import,omitempty"`
}

// MetadataTLS says how the TLS certificate of a metadata endpoint is verified.
type MetadataTLS struct {
	// CA is a PEM bundle to verify the certificate with, instead of the system's roots; empty: those.
	CA string `json:"ca,omitempty"`
	// InsecureSkipVerify switches the verification off.
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
}

// Types of the conditions of both resources.
const (
	// ConditionReady summarises the others: everything works with the peer.
	ConditionReady = "Ready"
	// ConditionAccepted: nothing in the spec contradicts this cluster or another resource.
	ConditionAccepted = "Accepted"
	// ConditionPublicMetadata: the peer's identity was fetched and is valid.
	ConditionPublicMetadata = "PublicMetadataFetched"
	// ConditionPrivateMetadata: the peer's metadata for this cluster was fetched and is valid.
	ConditionPrivateMetadata = "PrivateMetadataFetched"
	// ConditionPublicExchange and ConditionPrivateExchange are the same two by the names that
	// newer releases of Deckhouse's own module give them (contract, "Newer Deckhouse").
	ConditionPublicExchange  = "PublicMetadataExchangeReady"
	ConditionPrivateExchange = "PrivateMetadataExchangeReady"
	// ConditionAPI: the peer's API server answers this cluster through the peer's API proxy (IstioMulticluster only).
	ConditionAPI = "APIReachable"
	// ConditionDataplane: the peer answers calls through the mesh, by the name of newer releases of
	// Deckhouse's own module. Ready does not depend on it.
	ConditionDataplane = "DataplaneConnectionReady"
	// ConditionServices: every published service could be accepted (IstioFederation only).
	ConditionServices = "ServicesAccepted"
)

// IstioFederationStatus is the observed state.
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
	// TrustDomain is the spec.trustDomain for which the cache was filled; for another one it does not count.
	TrustDomain string `json:"trustDomain,omitempty"`

	PeerCache `json:",inline"`

	Private *CachedFederation `json:"private,omitempty"`
}

// CachedFederation is a peer's private metadata in a status. A list of services that is too long for a status is
// written as blocks: package servicelist packs and unpacks it.
type CachedFederation struct {
	IngressGateways []metadata.IngressGateway `json:"ingressGateways"`
	// PublicServices is nil where the list is unknown or stands in blocks; empty where the peer publishes nothing.
	PublicServices []metadata.PublicService `json:"publicServices,omitzero"`
	// PublicServicesBlocks are parts of a long list, in its order: JSON, compressed by gzip.
	PublicServicesBlocks [][]byte `json:"publicServicesBlocks,omitempty"`
	// Digest distinguishes these gateways and services from all others. It is empty in a status that Deckhouse's own
	// module has written.
	Digest string `json:"digest,omitempty"`
}

// IstioMulticluster makes this cluster and one peer a single mesh.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
type IstioMulticluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   IstioMulticlusterSpec   `json:"spec"`
	Status IstioMulticlusterStatus `json:"status,omitempty"`
}

// IstioMulticlusterSpec is the desired state.
type IstioMulticlusterSpec struct {
	PeerSpec `json:",inline"`

	EnableIngressGateway *bool `json:"enableIngressGateway,omitempty"`
}

// EntersByGateway is true when the peer's Pods are reached through its
// ingress gateway, which is the default.
func (s IstioMulticlusterSpec) EntersByGateway() bool {
	return s.EnableIngressGateway == nil || *s.EnableIngressGateway
}

// IstioMulticlusterStatus is the observed state.
type IstioMulticlusterStatus struct {
	PeerStatus `json:",inline"`

	MetadataCache MulticlusterCache `json:"metadataCache,omitempty"`
}

// MulticlusterCache is the last valid metadata of the peer.
type MulticlusterCache struct {
	PeerCache `json:",inline"`

	Private *metadata.Multicluster `json:"private,omitempty"`
}
