package controlplane

import (
	"net"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

// files of the control plane's identity.
type files struct {
	ca                    string
	server                struct{ certificate, key string }
	serviceAccountPrivate string
	serviceAccountPublic  string
	controllerManager     string
}

func (p *Plane) writeCertificates(authority *pki.Authority) (files, error) {
	in := func(name string) string { return filepath.Join(p.options.Dir, "pki", name) }
	result := files{
		ca:                    in("ca.crt"),
		serviceAccountPrivate: in("sa.key"),
		serviceAccountPublic:  in("sa.pub"),
		controllerManager:     in("kube-controller-manager.kubeconfig"),
	}
	result.server.certificate, result.server.key = in("server.crt"), in("server.key")

	firstService := p.options.ServiceSubnet.Addr().Next()
	server, err := authority.Issue(pki.Subject{
		CommonName: "kube-apiserver",
		DNSNames: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc." + p.options.ClusterDomain,
		},
		IPs:    []net.IP{p.options.Address.AsSlice(), firstService.AsSlice(), net.IPv4(127, 0, 0, 1)},
		Server: true,
	})
	if err != nil {
		return files{}, err
	}
	private, public, err := pki.NewSigningKey()
	if err != nil {
		return files{}, err
	}
	for file, content := range map[string][]byte{
		result.ca:                    authority.PEM,
		result.server.certificate:    server.Certificate,
		result.server.key:            server.Key,
		result.serviceAccountPrivate: private,
		result.serviceAccountPublic:  public,
	} {
		if err := state.WriteFile(file, content, 0o600); err != nil {
			return files{}, err
		}
	}
	for file, subject := range map[string]pki.Subject{
		p.Kubeconfig():           {CommonName: "lab-admin", Organizations: []string{"system:masters"}, Client: true},
		result.controllerManager: {CommonName: "system:kube-controller-manager", Client: true},
	} {
		pair, err := authority.Issue(subject)
		if err != nil {
			return files{}, err
		}
		if err := p.writeKubeconfig(file, authority, subject.CommonName, pair); err != nil {
			return files{}, err
		}
	}
	return result, nil
}

func (p *Plane) writeKubeconfig(file string, authority *pki.Authority, user string, pair pki.Pair) error {
	config := clientcmdapi.NewConfig()
	config.Clusters[p.options.Name] = &clientcmdapi.Cluster{Server: p.URL(), CertificateAuthorityData: authority.PEM}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: pair.Certificate, ClientKeyData: pair.Key}
	config.Contexts[p.options.Name] = &clientcmdapi.Context{Cluster: p.options.Name, AuthInfo: user}
	config.CurrentContext = p.options.Name
	content, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	return state.WriteFile(file, content, 0o600)
}
