package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// Peer is what the resources of both kinds have in common: each stands for one peer.
type Peer interface {
	metav1.Object
	// PeerKind is IstioFederationKind or IstioMulticlusterKind. Decoded objects need not name theirs.
	PeerKind() string
	// PeerSpec, PeerStatus and PeerCache point into the resource.
	PeerSpec() *PeerSpec
	PeerStatus() *PeerStatus
	PeerCache() *PeerCache
	// WholeStatus is the status, with what only this kind has.
	WholeStatus() any
	// CopyStatusOf another resource, if it is of the same kind.
	CopyStatusOf(other Peer)
	// ShallowCopy shares what the resource points to: replace that, do not change it.
	ShallowCopy() Peer
}

// PeerSpec says where the peer is.
type PeerSpec struct {
	// MetadataEndpoint is the https address of the peer's metadata, with or
	// without a slash at the end.
	MetadataEndpoint string `json:"metadataEndpoint"`
	// Metadata says how to trust the endpoint's TLS certificate.
	Metadata MetadataTLS `json:"metadata,omitempty"`
}

// PeerStatus is how polling the peer went.
type PeerStatus struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

// PeerCache is the peer's last valid metadata without the private part.
type PeerCache struct {
	Public                    *metadata.Public `json:"public,omitempty"`
	PublicLastFetchTimestamp  *metav1.Time     `json:"publicLastFetchTimestamp,omitempty"`
	PrivateLastFetchTimestamp *metav1.Time     `json:"privateLastFetchTimestamp,omitempty"`
	// IdentityChanges are the last times at which a key, root, UUID, API or network was added to the peer's identity.
	IdentityChanges []metav1.Time `json:"identityChanges,omitempty"`
	// PublicETag and PrivateETag are for the next conditional request.
	PublicETag  string `json:"publicETag,omitempty"`
	PrivateETag string `json:"privateETag,omitempty"`
}

// Peers points to each of the resources, which are all of one kind.
func Peers[T any, P interface {
	*T
	Peer
}](resources []T) []Peer {
	peers := make([]Peer, len(resources))
	for index := range resources {
		peers[index] = P(&resources[index])
	}
	return peers
}

var (
	_ Peer = (*IstioFederation)(nil)
	_ Peer = (*IstioMulticluster)(nil)
)

// PeerKind implements Peer.
func (f *IstioFederation) PeerKind() string { return IstioFederationKind }

// PeerSpec implements Peer.
func (f *IstioFederation) PeerSpec() *PeerSpec { return &f.Spec.PeerSpec }

// PeerStatus implements Peer.
func (f *IstioFederation) PeerStatus() *PeerStatus { return &f.Status.PeerStatus }

// PeerCache implements Peer.
func (f *IstioFederation) PeerCache() *PeerCache { return &f.Status.MetadataCache.PeerCache }

// WholeStatus implements Peer.
func (f *IstioFederation) WholeStatus() any { return f.Status }

// CopyStatusOf implements Peer.
func (f *IstioFederation) CopyStatusOf(other Peer) {
	if same, ok := other.(*IstioFederation); ok {
		f.Status = same.Status
	}
}

// ShallowCopy implements Peer.
func (f *IstioFederation) ShallowCopy() Peer {
	same := *f
	return &same
}

// PeerKind implements Peer.
func (m *IstioMulticluster) PeerKind() string { return IstioMulticlusterKind }

// PeerSpec implements Peer.
func (m *IstioMulticluster) PeerSpec() *PeerSpec { return &m.Spec.PeerSpec }

// PeerStatus implements Peer.
func (m *IstioMulticluster) PeerStatus() *PeerStatus { return &m.Status.PeerStatus }

// PeerCache implements Peer.
func (m *IstioMulticluster) PeerCache() *PeerCache { return &m.Status.MetadataCache.PeerCache }

// WholeStatus implements Peer.
func (m *IstioMulticluster) WholeStatus() any { return m.Status }

// CopyStatusOf implements Peer.
func (m *IstioMulticluster) CopyStatusOf(other Peer) {
	if same, ok := other.(*IstioMulticluster); ok {
		m.Status = same.Status
	}
}

// ShallowCopy implements Peer.
func (m *IstioMulticluster) ShallowCopy() Peer {
	same := *m
	return &same
}
