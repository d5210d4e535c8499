package metadata

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Network is this cluster's own addresses, at which no other cluster's gateway can
// be. An unknown range rejects nothing. Loopback is not among them: a server there
// must prove the peer's identity by mutual TLS, as anywhere.
type Network struct {
	Pods, Services []netip.Prefix
	APIServers     []netip.Addr
}

// ParsePrefixes reads ranges as Kubernetes writes them: CIDRs between commas.
func ParsePrefixes(text string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			return nil, fmt.Errorf("parse address range %.80q: %w", part, err)
		}
		prefixes = append(prefixes, prefix.Masked())
	}
	return prefixes, nil
}

// RejectsAPI returns why apiHost, which passed ParseMulticluster, is not the API of
// another cluster: every Pod of this cluster resolves the name to something local,
// or it is an own address. domain is this cluster's. This cluster's token and client
// certificate are sent to that host.
func (n Network) RejectsAPI(apiHost, domain string) error {
	host := apiHost
	if name, _, err := net.SplitHostPort(apiHost); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.Trim(strings.ToLower(host), "[]"), ".")
	if address, err := netip.ParseAddr(host); err == nil {
		if address.Unmap().IsLoopback() {
			return fmt.Errorf("apiHost %.260q is this cluster's own: a loopback address", apiHost)
		}
		if err := n.Rejects(IngressGateway{Address: host}); err != nil {
			return fmt.Errorf("apiHost: %w", err)
		}
		return nil
	}
	// Names that a Pod's search list completes, and those of the host itself (RFC 6761, section 6.3).
	local := !strings.Contains(host, ".") || host == "kubernetes.default"
	for _, suffix := range []string{"localhost", "svc", "svc." + domain, "pod." + domain} {
		local = local || host == suffix || strings.HasSuffix(host, "."+suffix)
	}
	if local {
		return fmt.Errorf("apiHost %.260q is a name inside this cluster", apiHost)
	}
	return nil
}

// Rejects returns why a gateway that passed Check is not another cluster's. It does
// not resolve DNS names: their addresses can change at any time.
func (n Network) Rejects(gateway IngressGateway) error {
	address, err := netip.ParseAddr(gateway.Address)
	if err != nil {
		return nil //nolint:nilerr // a DNS name
	}
	address = address.Unmap()
	within := func(prefix netip.Prefix) bool { return prefix.Contains(address) }
	switch {
	case slices.Contains(n.APIServers, address):
		return fmt.Errorf("address %s is this cluster's own API server", gateway.Address)
	case slices.ContainsFunc(n.Pods, within):
		return fmt.Errorf("address %s is in this cluster's own range of Pods", gateway.Address)
	case slices.ContainsFunc(n.Services, within):
		return fmt.Errorf("address %s is in this cluster's own range of Services", gateway.Address)
	}
	return nil
}
