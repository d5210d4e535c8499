package mesh

import (
	"fmt"
	"slices"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// Acceptance is how a proxy answers mutual TLS on a port of its Pod.
type Acceptance struct {
	// ALPN protocols that it chooses from.
	ALPN []string
	// Certificate and Roots name the secrets as in Handshake.
	Certificate, Roots string
	// Identities of which the caller must prove one; one that ends in * is the beginning of an identity. None means any.
	Identities []string
}

// Acceptance of mutual TLS on the port. It is an error when the port does not accept mutual TLS, or not from the same
// identities in all its filter chains.
func (v *View) Acceptance(port int) (Acceptance, error) {
	chains, err := v.inbound(port)
	if err != nil {
		return Acceptance{}, err
	}
	var found *Acceptance
	for _, chain := range chains {
		context, isTLS, err := unpackAs[tlsv3.DownstreamTlsContext](chain.GetTransportSocket().GetTypedConfig())
		if err != nil {
			return Acceptance{}, fmt.Errorf("read the TLS settings of inbound port %d: %w", port, err)
		}
		if !isTLS || !context.GetRequireClientCertificate().GetValue() {
			continue
		}
		names := readSecrets(context.GetCommonTlsContext())
		ofChain := Acceptance{
			ALPN: context.GetCommonTlsContext().GetAlpnProtocols(), Certificate: names.Certificate, Roots: names.Roots, Identities: names.Identities,
		}
		if found == nil {
			found = &ofChain
		} else if !slices.Equal(found.Identities, ofChain.Identities) {
			return Acceptance{}, fmt.Errorf("inbound port %d accepts %v in one filter chain and %v in another", port, found.Identities, ofChain.Identities)
		}
	}
	if found == nil {
		return Acceptance{}, fmt.Errorf("inbound port %d does not accept mutual TLS in any of its %d filter chains", port, len(chains))
	}
	return *found, nil
}
