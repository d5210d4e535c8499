package v1alpha1

import (
	"encoding/json"
	"fmt"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// MaxPlainServices is up to how many bytes of JSON the published services
// stand in a status as they are; a longer list is compressed.
const MaxPlainServices = 512 << 10

// CachedFederation is a peer's private metadata in a status. Its JSON is the
// contract's; only a list of services longer than MaxPlainServices, which would
// come near the 1.5 MiB that Kubernetes allows an object, stands compressed in a
// field of its own. Whoever encodes and decodes this type sees no difference.
//
// Services that came out of a decoding are shared with later ones: what they
// hold must not be changed.
type CachedFederation struct {
	metadata.Federation
}

// cachedFederation is the JSON of CachedFederation.
type cachedFederation struct {
	IngressGateways []metadata.IngressGateway `json:"ingressGateways"`
	PublicServices  json.RawMessage           `json:"publicServices,omitempty"`
	// PublicServicesBlocks are parts of the list, in its order: JSON, compressed by gzip.
	PublicServicesBlocks [][]byte `json:"publicServicesBlocks,omitempty"`
}

// MarshalJSON compresses a list of services that is long.
func (c CachedFederation) MarshalJSON() ([]byte, error) {
	encoded := cachedFederation{IngressGateways: c.IngressGateways}
	blocks, plainBytes, err := encodeBlocks(c.PublicServices)
	if err != nil {
		return nil, fmt.Errorf("encode publicServices: %w", err)
	}
	switch {
	case len(blocks) == 0: // null is not []
		encoded.PublicServices, err = json.Marshal(c.PublicServices)
	case plainBytes <= MaxPlainServices:
		encoded.PublicServices, err = join(blocks, plainBytes)
	default:
		for _, each := range blocks {
			encoded.PublicServicesBlocks = append(encoded.PublicServicesBlocks, each.compressed())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("encode publicServices: %w", err)
	}
	return json.Marshal(encoded)
}

// UnmarshalJSON reads both forms.
func (c *CachedFederation) UnmarshalJSON(document []byte) error {
	var encoded cachedFederation
	if err := json.Unmarshal(document, &encoded); err != nil {
		return err
	}
	decoded := metadata.Federation{IngressGateways: encoded.IngressGateways}
	if len(encoded.PublicServicesBlocks) > 0 {
		services, err := decodeBlocks(encoded.PublicServicesBlocks)
		if err != nil {
			return fmt.Errorf("decode publicServicesBlocks: %w", err)
		}
		decoded.PublicServices = services
	} else if len(encoded.PublicServices) > 0 {
		if err := json.Unmarshal(encoded.PublicServices, &decoded.PublicServices); err != nil {
			return fmt.Errorf("decode publicServices: %w", err)
		}
	}
	c.Federation = decoded
	return nil
}
