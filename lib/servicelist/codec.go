// Package servicelist writes the services that a federation peer publishes into a status, and reads them there.
//
// A list longer than MaxPlain bytes of JSON, which would come near the 1.5 MiB that Kubernetes allows an object, is
// written as compressed blocks. In memory a list is always whole: Unpack a status that was read, Pack one that is to be written.
package servicelist

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// MaxPlain is up to how many bytes of JSON a list is written as it is.
const MaxPlain = 512 << 10

// Codec packs and unpacks lists. It remembers the blocks that were used last, so that a list that changes little costs
// little; what it returns is shared with later calls and must not be changed. A nil Codec remembers nothing. It is safe
// for concurrent use.
type Codec struct {
	byServices memory[uint64]
	byGzip     memory[string]
}

// Seal sets the digest of a whole list, after the last change of its gateways and services.
func (c *Codec) Seal(list *v1alpha1.CachedFederation) error {
	blocks, _, err := c.cut(list.PublicServices)
	if err == nil {
		list.Digest, err = digest(list.IngressGateways, blocks)
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

// Pack returns a whole list as it is written.
func (c *Codec) Pack(list v1alpha1.CachedFederation) (v1alpha1.CachedFederation, error) {
	blocks, plainBytes, err := c.cut(list.PublicServices)
	if err != nil {
		return list, fmt.Errorf("encode publicServices: %w", err)
	}
	if plainBytes <= MaxPlain {
		return list, nil
	}
	list.PublicServices, list.PublicServicesBlocks = nil, make([][]byte, len(blocks))
	for index, each := range blocks {
		list.PublicServicesBlocks[index] = c.compressed(each)
	}
	return list, nil
}

// PackStatus returns a status whose list is whole as it is written.
func (c *Codec) PackStatus(status v1alpha1.IstioFederationStatus) (v1alpha1.IstioFederationStatus, error) {
	if status.MetadataCache.Private == nil {
		return status, nil
	}
	packed, err := c.Pack(*status.MetadataCache.Private)
	status.MetadataCache.Private = &packed
	return status, err
}

// Unpack makes the list of a cache that was read whole. A list that cannot be read, or is not the one that the digest
// was made of, is unknown (nil), which differs from empty. Of an unknown list the ETag is dropped, too: with it, a peer
// would answer that nothing has changed.
func (c *Codec) Unpack(cache *v1alpha1.FederationCache) {
	if cache.Private != nil {
		unpacked := *cache.Private
		unpacked.PublicServices, unpacked.PublicServicesBlocks = c.read(unpacked), nil
		if unpacked.PublicServices == nil {
			unpacked.Digest = ""
		}
		cache.Private = &unpacked
	}
	if cache.Private == nil || cache.Private.PublicServices == nil {
		cache.PrivateETag = ""
	}
}

// read returns the services of a list in either form, nil where they are unknown.
func (c *Codec) read(list v1alpha1.CachedFederation) []metadata.PublicService {
	services := list.PublicServices
	var (
		blocks []*block
		err    error
	)
	if len(list.PublicServicesBlocks) > 0 {
		services, blocks, err = c.decode(list.PublicServicesBlocks)
	} else if list.Digest != "" {
		blocks, _, err = c.cut(services)
	}
	if err != nil {
		return nil
	}
	if list.Digest != "" {
		if found, err := digest(list.IngressGateways, blocks); err != nil || found != list.Digest {
			return nil
		}
	}
	return services
}
