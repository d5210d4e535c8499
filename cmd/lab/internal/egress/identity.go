package egress

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
)

// identity of the proxy, and of the one caller it has: on loopback anybody
// could connect, so that each proves to the other who it is.
type identity struct {
	authority      *pki.Authority
	server, client pki.Pair
}

func newIdentity(address netip.Addr) (identity, error) {
	authority, err := pki.NewAuthority("egress")
	if err != nil {
		return identity{}, err
	}
	server, err := authority.Issue(pki.Subject{CommonName: "egress-proxy", IPs: []net.IP{address.AsSlice()}, Server: true})
	if err != nil {
		return identity{}, err
	}
	client, err := authority.Issue(pki.Subject{CommonName: "kube-apiserver", Client: true})
	if err != nil {
		return identity{}, err
	}
	return identity{authority: authority, server: server, client: client}, nil
}

func (i identity) serverConfig() (*tls.Config, error) {
	pair, err := tls.X509KeyPair(i.server.Certificate, i.server.Key)
	if err != nil {
		return nil, fmt.Errorf("read back the proxy's certificate: %w", err)
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(i.authority.PEM)
	return &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: clients,
		MinVersion: tls.VersionTLS12,
	}, nil
}
