package mesh

import (
	"crypto/x509"
	"errors"
	"fmt"

	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
)

// rootsType is asked for by the agent beside the proxy, not by Envoy: istio.io/istio, pkg/istio-agent/xds_proxy.go,
// with PROXY_CONFIG_XDS_AGENT. Istio's own name for it is PCDS.
const rootsType = "type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig"

// Trusted are the certificates that the proxy gets to verify others with:
// the mesh's own roots and the anchors of peers, for all trust domains
// together, as the agent hands them to Envoy under the name ROOTCA.
func (v *View) Trusted() ([]*x509.Certificate, error) {
	if v.roots == nil {
		return nil, errors.New("istiod has not sent any roots; does it run with ISTIO_MULTIROOT_MESH?")
	}
	trusted, err := parseCertificates(v.roots)
	if err != nil {
		return nil, fmt.Errorf("read the roots that istiod sends: %w", err)
	}
	return trusted, nil
}

// rootsOf are PEM texts, each of one certificate or more.
func rootsOf(config *meshv1alpha1.ProxyConfig) []string {
	return append([]string{}, config.GetCaCertificatesPem()...)
}
