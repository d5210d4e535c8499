package mesh

import (
	"fmt"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// transportSocketMatch is the endpoint metadata that Envoy chooses a transport
// socket by: envoy/config/cluster/v3.Cluster.transport_socket_matches.
const transportSocketMatch = "envoy.transport_socket_match"

// Handshake is how a proxy begins to talk to an endpoint.
type Handshake struct {
	// TLS is false for plaintext; the other fields are empty then.
	TLS bool
	// SNI that is sent, and the ALPN protocols that are offered.
	SNI  string
	ALPN []string
	// Certificate and Roots name the secrets that the proxy presents itself
	// with and verifies the peer by; Istio calls them "default" and "ROOTCA".
	Certificate, Roots string
	// Identities of which the peer must prove one; none means any that the roots vouch for.
	Identities []string
}

// Handshake with the endpoint at address ("ip:port") of the cluster.
func (v *View) Handshake(name, address string) (Handshake, error) {
	cluster, err := v.Cluster(name)
	if err != nil {
		return Handshake{}, err
	}
	var found *endpointv3.LbEndpoint
	var present []string
	if err := v.eachEndpoint(name, func(endpoint *endpointv3.LbEndpoint) {
		present = append(present, addressOf(endpoint))
		if addressOf(endpoint) == address {
			found = endpoint
		}
	}); err != nil {
		return Handshake{}, err
	}
	if found == nil {
		return Handshake{}, fmt.Errorf("cluster %s has no endpoint %s, it has %v", name, address, present)
	}
	handshake, err := readHandshake(socketFor(cluster, found))
	if err != nil {
		return Handshake{}, fmt.Errorf("read how cluster %s talks to %s: %w", name, address, err)
	}
	return handshake, nil
}

// socketFor is the first transport socket whose match the endpoint's metadata
// fulfils, else the cluster's own; nil is plaintext.
func socketFor(cluster *clusterv3.Cluster, endpoint *endpointv3.LbEndpoint) *core.TransportSocket {
	has := endpoint.GetMetadata().GetFilterMetadata()[transportSocketMatch].GetFields()
	for _, candidate := range cluster.GetTransportSocketMatches() {
		if fulfils(has, candidate.GetMatch().GetFields()) {
			return candidate.GetTransportSocket()
		}
	}
	return cluster.GetTransportSocket()
}

func fulfils(has, wants map[string]*structpb.Value) bool {
	for name, want := range wants {
		if have, ok := has[name]; !ok || have.GetStringValue() != want.GetStringValue() {
			return false
		}
	}
	return true
}

func readHandshake(socket *core.TransportSocket) (Handshake, error) {
	upstream, ok, err := unpackAs[tlsv3.UpstreamTlsContext](socket.GetTypedConfig())
	if err != nil || !ok {
		return Handshake{}, err
	}
	settings := upstream.GetCommonTlsContext()
	names := readSecrets(settings)
	return Handshake{
		TLS: true, SNI: upstream.GetSni(), ALPN: settings.GetAlpnProtocols(),
		Certificate: names.Certificate, Roots: names.Roots, Identities: names.Identities,
	}, nil
}

// secretNames is the part of a TLS context that both sides of a handshake have.
type secretNames struct {
	Certificate, Roots string
	Identities         []string
}

func readSecrets(settings *tlsv3.CommonTlsContext) secretNames {
	var names secretNames
	for _, certificate := range settings.GetTlsCertificateSdsSecretConfigs() {
		names.Certificate = certificate.GetName()
	}
	combined := settings.GetCombinedValidationContext()
	names.Roots = combined.GetValidationContextSdsSecretConfig().GetName()
	names.Identities = identities(combined.GetDefaultValidationContext())
	return names
}

func identities(validation *tlsv3.CertificateValidationContext) []string {
	var names []string
	for _, matcher := range validation.GetMatchTypedSubjectAltNames() {
		names = append(names, pattern(matcher.GetMatcher()))
	}
	for _, matcher := range validation.GetMatchSubjectAltNames() { //nolint:staticcheck // what older Istio sends
		names = append(names, pattern(matcher))
	}
	return names
}

// pattern is an identity, or the beginning of one with a * behind it.
func pattern(matcher *matcherv3.StringMatcher) string {
	if exact := matcher.GetExact(); exact != "" {
		return exact
	}
	if prefix := matcher.GetPrefix(); prefix != "" {
		return prefix + "*"
	}
	return matcher.String()
}
