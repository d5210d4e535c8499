package cluster

import (
	"fmt"
	"net"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
)

// pkiDir is where nodes have keys and certificates, as kubeadm lays them out.
const pkiDir = "/etc/kubernetes/pki"

// authorities of a cluster.
type authorities struct {
	cluster, frontProxy *pki.Authority
	// tokens of ServiceAccounts are signed with the private key.
	tokensPrivate, tokensPublic []byte
}

func newAuthorities(cluster string) (*authorities, error) {
	var a authorities
	var err error
	if a.cluster, err = pki.NewAuthority(cluster); err != nil {
		return nil, err
	}
	if a.frontProxy, err = pki.NewAuthority(cluster + " front proxy"); err != nil {
		return nil, err
	}
	a.tokensPrivate, a.tokensPublic, err = pki.NewSigningKey()
	return &a, err
}

// files of a node, by their paths.
type files map[string]string

func (f files) addPair(name string, authority *pki.Authority, subject pki.Subject) error {
	pair, err := authority.Issue(subject)
	if err != nil {
		return err
	}
	f[pkiDir+"/"+name+".crt"], f[pkiDir+"/"+name+".key"] = string(pair.Certificate), string(pair.Key)
	return nil
}

// addControlPlane adds what only the first node has.
func (f files) addControlPlane(a *authorities, cluster *plan.Cluster) error {
	key, err := a.cluster.KeyPEM()
	if err != nil {
		return err
	}
	f[pkiDir+"/ca.key"] = string(key)
	f[pkiDir+"/front-proxy-ca.crt"] = string(a.frontProxy.PEM)
	f[pkiDir+"/sa.key"], f[pkiDir+"/sa.pub"] = string(a.tokensPrivate), string(a.tokensPublic)
	for _, pair := range []struct {
		name      string
		authority *pki.Authority
		subject   pki.Subject
	}{
		{"apiserver", a.cluster, apiServerSubject(cluster)},
		{"apiserver-kubelet-client", a.cluster, pki.Subject{CommonName: "kube-apiserver-kubelet-client", Organizations: []string{"system:masters"}, Client: true}},
		{"front-proxy-client", a.frontProxy, pki.Subject{CommonName: "front-proxy-client", Client: true}},
	} {
		if err := f.addPair(pair.name, pair.authority, pair.subject); err != nil {
			return err
		}
	}
	for _, program := range []string{"kube-controller-manager", "kube-scheduler"} {
		if err := f.addKubeconfig(program, a, cluster, pki.Subject{CommonName: "system:" + program, Client: true}); err != nil {
			return err
		}
	}
	return nil
}

func apiServerSubject(cluster *plan.Cluster) pki.Subject {
	return pki.Subject{
		CommonName: "kube-apiserver",
		DNSNames: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc." + cluster.Domain, cluster.Nodes[0].Name,
		},
		IPs: []net.IP{
			cluster.APIServer().Addr().AsSlice(), cluster.KubernetesService().AsSlice(),
			net.IPv4(127, 0, 0, 1), // where the fabric and the person's shell reach it
		},
		Server: true,
	}
}

// addNode adds the credentials of a node's own programs.
func (f files) addNode(a *authorities, cluster *plan.Cluster, node *plan.Node) error {
	f[pkiDir+"/ca.crt"] = string(a.cluster.PEM)
	if err := f.addPair("kubelet", a.cluster, pki.Subject{
		CommonName: node.Name, DNSNames: []string{node.Name}, IPs: []net.IP{node.Address.AsSlice()}, Server: true,
	}); err != nil {
		return err
	}
	if err := f.addKubeconfig("kubelet", a, cluster, pki.Subject{
		CommonName: "system:node:" + node.Name, Organizations: []string{"system:nodes"}, Client: true,
	}); err != nil {
		return err
	}
	return f.addKubeconfig("kube-proxy", a, cluster, pki.Subject{CommonName: "system:kube-proxy", Client: true})
}

func kubeconfigFile(program string) string { return "/etc/kubernetes/" + program + ".kubeconfig" }

func (f files) addKubeconfig(program string, a *authorities, cluster *plan.Cluster, subject pki.Subject) error {
	content, err := kubeconfig(a, cluster.Name, "https://"+cluster.APIServer().String(), subject)
	if err != nil {
		return err
	}
	f[kubeconfigFile(program)] = string(content)
	return nil
}

func kubeconfig(a *authorities, cluster, server string, subject pki.Subject) ([]byte, error) {
	pair, err := a.cluster.Issue(subject)
	if err != nil {
		return nil, err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[cluster] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: a.cluster.PEM}
	config.AuthInfos[subject.CommonName] = &clientcmdapi.AuthInfo{ClientCertificateData: pair.Certificate, ClientKeyData: pair.Key}
	config.Contexts[cluster] = &clientcmdapi.Context{Cluster: cluster, AuthInfo: subject.CommonName}
	config.CurrentContext = cluster
	content, err := clientcmd.Write(*config)
	if err != nil {
		return nil, fmt.Errorf("encode the kubeconfig of %s: %w", subject.CommonName, err)
	}
	return content, nil
}
