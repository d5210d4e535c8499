package metadata

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	httpsPort = 443
	// networkDomainLength is how much of the cluster domain a network's name shows:
	// the name is the value of a label, of at most 63 characters.
	networkDomainLength = 40
)

// ParseMulticluster decodes and checks a multicluster document. It does not check
// gateways: one bad gateway does not invalidate the others (UsableGateways). A
// missing list is an empty one: clusters in a flat network have no gateways.
func ParseMulticluster(body []byte) (*Multicluster, error) {
	var document Multicluster
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, fmt.Errorf("decode multicluster metadata: %w", err)
	}
	document.IngressGateways = append([]IngressGateway{}, document.IngressGateways...)
	if err := errors.Join(checkAPIHost(document.APIHost), checkNetworkName(document.NetworkName)); err != nil {
		return nil, err
	}
	return &document, nil
}

// checkAPIHost accepts one host of another cluster in the form that can follow
// https://: a DNS name or an IP address, with or without a port.
func checkAPIHost(host string) error {
	if host == "" {
		return errors.New("apiHost is missing")
	}
	address := IngressGateway{Address: strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), Port: httpsPort}
	if strings.Contains(address.Address, ":") && net.ParseIP(address.Address) == nil {
		name, text, err := net.SplitHostPort(host)
		port, portErr := strconv.ParseUint(text, 10, 16)
		if err != nil || portErr != nil {
			return fmt.Errorf("apiHost %.260q is not a host with or without a port", host)
		}
		address = IngressGateway{Address: name, Port: int32(port)}
	} else if bracketed := host == "["+address.Address+"]"; bracketed != strings.Contains(address.Address, ":") || !bracketed && host != address.Address {
		return fmt.Errorf("apiHost %.260q is not a host: brackets are for IPv6 addresses, and needed there", host)
	}
	if err := address.Check(); err != nil {
		return fmt.Errorf("apiHost: %w", err)
	}
	return nil
}

// checkNetworkName accepts a valid value of the label topology.istio.io/network.
func checkNetworkName(name string) error {
	if name == "" {
		return errors.New("networkName is missing")
	}
	if messages := validation.IsValidLabelValue(name); len(messages) > 0 {
		return fmt.Errorf("networkName %.70q: %s", name, strings.Join(messages, "; "))
	}
	return nil
}

// NetworkName is the Istio network of the cluster with this domain and UUID.
// Clusters of one mesh share the domain, so the name contains a hash of the UUID.
func NetworkName(clusterDomain, clusterUUID string) string {
	domain := strings.ReplaceAll(clusterDomain, ".", "-")
	domain = strings.Trim(domain[:min(len(domain), networkDomainLength)], "-")
	sum := sha256.Sum256([]byte(clusterUUID))
	return fmt.Sprintf("network-%s-%s", domain, hex.EncodeToString(sum[:4]))
}
