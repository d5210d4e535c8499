// Package metadata is the wire format between peers: the documents behind
// <metadataEndpoint>, their paths and limits, and the checks of their content.
// The format is the contract's section "Metadata"; unknown fields are ignored.
package metadata

import (
	"cmp"
	"slices"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/peer"
)

// Paths of the documents, relative to a metadata endpoint that ends in a slash.
const (
	PublicPath       = "public/public.json"
	SPIFFEBundlePath = "public/spiffe-bundle-endpoint"
	FederationPath   = "private/federation.json"
	MulticlusterPath = "private/multicluster.json"
)

// Document is one kind of document, and what it takes to ask a peer for it. Every
// program that asks uses these, so that none accepts less than another.
type Document struct {
	// Path relative to a metadata endpoint.
	Path string
	// MaxBytes bounds the document after decompression.
	MaxBytes int64
	// Scope of the token that the peer requires; empty for a document that anyone may read.
	Scope string
}

// The documents that clusters ask each other for.
var (
	PublicDocument       = Document{Path: PublicPath, MaxBytes: maxPublicBytes}
	FederationDocument   = Document{Path: FederationPath, MaxBytes: MaxFederationBytes, Scope: authn.ScopePrivateFederation}
	MulticlusterDocument = Document{Path: MulticlusterPath, MaxBytes: maxMulticlusterBytes, Scope: authn.ScopePrivateMulticluster}
)

// Request asks for the document with a token of its Scope; empty for a document without a scope.
func (d Document) Request(token string) peer.Request {
	return peer.Request{Path: d.Path, MaxBytes: d.MaxBytes, Token: token}
}

// Public is what anyone may know of a cluster: its identity and its keys.
//
// +k8s:deepcopy-gen=true
type Public struct {
	// ClusterUUID identifies the cluster for good.
	ClusterUUID string `json:"clusterUUID"`
	// AuthnKeyPub is a PEM block "ED25519 PUBLIC KEY" (PKIX); it verifies the cluster's tokens.
	AuthnKeyPub string `json:"authnKeyPub"`
	// RootCA is the PEM bundle of the cluster's Istio root certificates.
	RootCA string `json:"rootCA"`
	// TrustDomain is the cluster's SPIFFE trust domain. Deckhouse's own module leaves it out.
	TrustDomain string `json:"trustDomain,omitempty"`
}

// Federation is what a federated peer may know: the gateways, and the published Services.
type Federation struct {
	IngressGateways []IngressGateway `json:"ingressGateways"`
	PublicServices  []PublicService  `json:"publicServices"`
}

// Multicluster is what a peer in the same mesh may know.
//
// +k8s:deepcopy-gen=true
type Multicluster struct {
	IngressGateways []IngressGateway `json:"ingressGateways"`
	// APIHost is the host name (without scheme) of the cluster's API proxy.
	APIHost string `json:"apiHost"`
	// NetworkName is the Istio network of the cluster's pods.
	NetworkName string `json:"networkName"`
}

// IngressGateway is one address of the mTLS gateway: an IP address or a DNS name, and a TCP port.
//
// +k8s:deepcopy-gen=true
type IngressGateway struct {
	Address string `json:"address"`
	Port    int32  `json:"port"`
}

// SortedGateways returns the gateways by address and port, each once; a list without any is not nil.
func SortedGateways(gateways []IngressGateway) []IngressGateway {
	sorted := append([]IngressGateway{}, gateways...)
	slices.SortFunc(sorted, func(a, b IngressGateway) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Port, b.Port))
	})
	return slices.Compact(sorted)
}

// PublicService is one Service that its cluster publishes.
//
// +k8s:deepcopy-gen=true
type PublicService struct {
	// Hostname is "<name>.<namespace>.svc.<clusterDomain>".
	Hostname string        `json:"hostname"`
	Ports    []ServicePort `json:"ports"`
	// ServiceAccounts are the identities that may answer for the service,
	// "<namespace>/<name>" each: spiffe://<trust domain>/ns/<namespace>/sa/<name>
	// of the cluster that publishes it; no other trust domain can be expressed.
	// nil: the publisher does not name them (Deckhouse's own module). Empty: the
	// service has no endpoints now, and its identities are those last seen.
	ServiceAccounts []string `json:"serviceAccounts,omitzero"`
}

// Equal reports whether both are the same service, with the same ports and service
// accounts in the same order; an empty list differs from none.
func (s PublicService) Equal(other PublicService) bool {
	return s.Hostname == other.Hostname && slices.Equal(s.Ports, other.Ports) &&
		(s.ServiceAccounts == nil) == (other.ServiceAccounts == nil) && slices.Equal(s.ServiceAccounts, other.ServiceAccounts)
}

// ServicePort is one port of a published Service.
//
// +k8s:deepcopy-gen=true
type ServicePort struct {
	Name string `json:"name"`
	Port int32  `json:"port"`
	// Protocol in Istio's spelling: HTTP, HTTP2, GRPC, HTTPS, TLS, TCP, …
	Protocol string `json:"protocol"`
}
