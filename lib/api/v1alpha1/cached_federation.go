package v1alpha1

import (
	"crypto/sha256"
	"encoding/hex"
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
// PublicServices is nil when a status has no list of services, or none that can
// be read, or not the one that Digest is of: then nobody knows what the peer
// offers, which is something else than nothing. Services that came out of a
// decoding are shared with later ones: what they hold must not be changed.
type CachedFederation struct {
	metadata.Federation
	// Digest tells these gateways and services from all others; Seal sets it. Empty
	// in a status that Deckhouse's own module has written.
	Digest string
}

// cachedFederation is the JSON of CachedFederation.
type cachedFederation struct {
	IngressGateways []metadata.IngressGateway `json:"ingressGateways"`
	PublicServices  json.RawMessage           `json:"publicServices,omitempty"`
	// PublicServicesBlocks are parts of the list, in its order: JSON, compressed by gzip.
	PublicServicesBlocks [][]byte `json:"publicServicesBlocks,omitempty"`
	Digest               string   `json:"digest,omitempty"`
}

// Seal sets Digest, after the last change of what it is of.
func (c *CachedFederation) Seal() error {
	blocks, _, err := encodeBlocks(c.PublicServices)
	if err == nil {
		c.Digest, err = digest(c.IngressGateways, blocks)
	}
	if err != nil {
		return fmt.Errorf("make the digest of a peer's metadata: %w", err)
	}
	return nil
}

func digest(gateways []metadata.IngressGateway, blocks []*block) (string, error) {
	hash := sha256.New()
	if err := json.NewEncoder(hash).Encode(gateways); err != nil {
		return "", err
	}
	for _, each := range blocks {
		_, _ = hash.Write(each.sum[:])
	}
	return hex.EncodeToString(hash.Sum(nil)[:16]), nil
}

// MarshalJSON compresses a list of services that is long.
func (c CachedFederation) MarshalJSON() ([]byte, error) {
	encoded := cachedFederation{IngressGateways: c.IngressGateways, Digest: c.Digest}
	blocks, plainBytes, err := encodeBlocks(c.PublicServices)
	if err != nil {
		return nil, fmt.Errorf("encode publicServices: %w", err)
	}
	switch {
	case c.PublicServices == nil:
	case len(blocks) == 0:
		encoded.PublicServices = json.RawMessage("[]")
	case plainBytes <= MaxPlainServices:
		if encoded.PublicServices, err = join(blocks, plainBytes); err != nil {
			return nil, fmt.Errorf("encode publicServices: %w", err)
		}
	default:
		for _, each := range blocks {
			encoded.PublicServicesBlocks = append(encoded.PublicServicesBlocks, each.compressed())
		}
	}
	return json.Marshal(encoded)
}

// UnmarshalJSON reads both forms.
func (c *CachedFederation) UnmarshalJSON(document []byte) error {
	var encoded cachedFederation
	if err := json.Unmarshal(document, &encoded); err != nil {
		return err
	}
	c.Federation, c.Digest = metadata.Federation{IngressGateways: encoded.IngressGateways}, ""
	services, blocks, err := encoded.services()
	if err != nil || services == nil {
		return nil //nolint:nilerr // what cannot be read is not known: as if it were not there, it is asked for again
	}
	if encoded.Digest != "" {
		if is, err := digest(encoded.IngressGateways, blocks); err != nil || is != encoded.Digest {
			return err
		}
	}
	c.PublicServices, c.Digest = services, encoded.Digest
	return nil
}

// services is the list, and the blocks that it consists of.
func (c cachedFederation) services() (services []metadata.PublicService, blocks []*block, err error) {
	if len(c.PublicServicesBlocks) > 0 {
		return decodeBlocks(c.PublicServicesBlocks)
	}
	if len(c.PublicServices) > 0 {
		if err := json.Unmarshal(c.PublicServices, &services); err != nil {
			return nil, nil, err
		}
	}
	blocks, _, err = encodeBlocks(services)
	return services, blocks, err
}
