package v1alpha1

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

const (
	// MaxPlainServices is up to how many bytes of JSON the published services
	// stand in a status as they are; a longer list is compressed.
	MaxPlainServices = 512 << 10
	// maxServices bounds what a compressed list may become in memory, in bytes.
	maxServices = 64 << 20
)

// CachedFederation is a peer's private metadata in a status. Its JSON is the
// contract's; only a list of services longer than MaxPlainServices, which would
// come near the 1.5 MiB that Kubernetes allows an object, stands compressed in a
// field of its own. Whoever encodes and decodes this type sees no difference.
type CachedFederation struct {
	metadata.Federation
}

// cachedFederation is the JSON of CachedFederation.
type cachedFederation struct {
	IngressGateways    []metadata.IngressGateway `json:"ingressGateways"`
	PublicServices     json.RawMessage           `json:"publicServices,omitempty"`
	PublicServicesGzip []byte                    `json:"publicServicesGzip,omitempty"`
}

// MarshalJSON compresses a list of services that is long.
func (c CachedFederation) MarshalJSON() ([]byte, error) {
	services, err := json.Marshal(c.PublicServices)
	if err != nil {
		return nil, fmt.Errorf("encode publicServices: %w", err)
	}
	encoded := cachedFederation{IngressGateways: c.IngressGateways}
	if len(services) <= MaxPlainServices {
		encoded.PublicServices = services
		return json.Marshal(encoded)
	}
	var compressed bytes.Buffer
	writer := gzip.NewWriter(&compressed)
	if _, err := writer.Write(services); err != nil {
		return nil, fmt.Errorf("compress publicServices: %w", err)
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("compress publicServices: %w", err)
	}
	encoded.PublicServicesGzip = compressed.Bytes()
	return json.Marshal(encoded)
}

// UnmarshalJSON reads either form.
func (c *CachedFederation) UnmarshalJSON(document []byte) error {
	var encoded cachedFederation
	if err := json.Unmarshal(document, &encoded); err != nil {
		return err
	}
	services := []byte(encoded.PublicServices)
	if len(encoded.PublicServicesGzip) > 0 {
		var err error
		if services, err = decompress(encoded.PublicServicesGzip); err != nil {
			return fmt.Errorf("decompress publicServicesGzip: %w", err)
		}
	}
	decoded := metadata.Federation{IngressGateways: encoded.IngressGateways}
	if len(services) > 0 {
		if err := json.Unmarshal(services, &decoded.PublicServices); err != nil {
			return fmt.Errorf("decode publicServices: %w", err)
		}
	}
	c.Federation = decoded
	return nil
}

func decompress(compressed []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(reader, maxServices+1))
	if err != nil {
		return nil, err
	}
	if len(plain) > maxServices {
		return nil, fmt.Errorf("more than %d bytes", maxServices)
	}
	return plain, nil
}
