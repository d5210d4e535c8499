// Package discovery decides which resources for peers are accepted, polls the
// peers behind them, judges the answers, and reports the outcome in the
// resources' status. Both kinds go the same way (poll.go); what they differ in is
// in federation.go and multicluster.go.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/peer"
	"github.com/deckhouse-mesh/istio/lib/servicelist"
)

// Reasons of conditions, besides those of peer.Error.
const (
	// Of a resource, or of the identity of its peer.
	ReasonTrustDomainIsOwn = "TrustDomainIsOwn"
	ReasonTrustDomainTaken = "TrustDomainTaken"
	ReasonClusterUUIDIsOwn = "ClusterUUIDIsOwn"
	ReasonClusterUUIDTaken = "ClusterUUIDTaken"
	ReasonNameUnusable     = "NameUnusable"
	ReasonNetworkNameIsOwn = "NetworkNameIsOwn"
	ReasonNetworkNameTaken = "NetworkNameTaken"

	// Of an answer.
	ReasonInvalidPublicMetadata  = "PeerPublicMetadataInvalid"
	ReasonInvalidPrivateMetadata = "PeerPrivateMetadataInvalid"
	ReasonTrustDomainMismatch    = "PeerTrustDomainMismatch"
	ReasonRootsNotHonoured       = "PeerRootsNotHonoured"
	ReasonOwnKeyMissing          = "OwnKeyMissing"
	// ReasonIdentityChangesTooOften: additions to a peer's identity are limited in how often.
	ReasonIdentityChangesTooOften = "PeerIdentityChangesTooOften"
	ReasonInternalError           = "InternalError"
	// ReasonStatusNotWritten is of Events: the API server rejects the status.
	ReasonStatusNotWritten = "StatusNotWritten"

	// Of the peer's API server.
	ReasonAPIAnswers          = "Answers"
	ReasonAPINotAsked         = "NotAsked"
	ReasonAPIUnreachable      = "PeerAPIUnreachable"
	ReasonAPINotTrusted       = "PeerAPICertificateNotTrusted"
	ReasonAPIRefuses          = "PeerAPIRefusesThisCluster"
	ReasonAPILimits           = "PeerAPILimitsThisCluster"
	ReasonAPIUnexpectedAnswer = "PeerAPIUnexpectedAnswer"

	// Of conditions that are True, and of the summary.
	ReasonAccepted             = "Accepted"
	ReasonFetched              = "Fetched"
	ReasonAllAccepted          = "AllAccepted"
	ReasonSomeRejected         = "SomeRejected"
	ReasonJoined               = "Joined"
	ReasonNoGateways           = "PeerHasNoIngressGateway"
	ReasonFederationDisabled   = "FederationDisabled"
	ReasonMulticlusterDisabled = "MulticlusterDisabled"
	ReasonModuleDisabled       = "ModuleDisabled"
)

// Self is this cluster.
type Self struct {
	TrustDomain string
	ClusterUUID string
	// Network is where no peer's gateway can be.
	Network metadata.Network
}

// NetworkName is the Istio network of this cluster's Pods.
func (s Self) NetworkName() string { return metadata.NetworkName(s.TrustDomain, s.ClusterUUID) }

// Getter fetches documents; *peer.Client is one.
type Getter interface {
	Get(ctx context.Context, target peer.Target, request peer.Request) (*peer.Response, error)
}

// Discoverer polls peers and judges their answers.
type Discoverer struct {
	Client Getter
	Self   Self
	// PrivateKey is the PEM Ed25519 key that signs this cluster's tokens.
	PrivateKey string
	Now        time.Time
	// Codec packs long lists of services; nil works, too.
	Codec *servicelist.Codec
	// Elsewhere are the identities that resources of the other kind hold.
	Elsewhere []Claim
	// Answers reports whether metadata-watcher has had an answer of the peer lately; nil works, too.
	Answers func(v1alpha1.Peer) bool
}

// Rejection is why a resource or an answer is not accepted, as a condition has it.
type Rejection struct{ Reason, Message string }

func (r Rejection) Error() string { return r.Message }

func reject(reason, format string, args ...any) error {
	return Rejection{reason, fmt.Sprintf(format, args...)}
}

// invalid rejects an answer because of err.
func invalid(reason string, err error) error {
	return reject(reason, "the peer's answer is rejected: %v. What was learned before stays in force; check the peer's metadata-exporter.", err)
}

// reasonOf is the condition's reason for an error made here or by package peer.
func reasonOf(err error) string {
	var rejection Rejection
	if errors.As(err, &rejection) {
		return rejection.Reason
	}
	var failed *peer.Error
	if errors.As(err, &failed) {
		return string(failed.Reason)
	}
	return string(peer.Unreachable)
}
