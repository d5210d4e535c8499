package cluster

import (
	"fmt"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/node"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
)

const containerdSocket = "/run/containerd/containerd.sock"

// programsOf a node, in the order in which they are started. Each waits for
// what it would fail without; after that they find each other by themselves.
func programsOf(cluster *plan.Cluster, n *plan.Node) []node.Program {
	api := "tcp:" + cluster.APIServer().String()
	programs := []node.Program{
		{Name: "containerd", Args: []string{"--config=" + containerdFile}},
		{Name: "kubelet", After: "unix:" + containerdSocket, Args: []string{
			"--config=" + kubeletFile,
			"--kubeconfig=" + kubeconfigFile("kubelet"),
			"--hostname-override=" + n.Name,
			"--node-ip=" + n.Address.String(),
		}},
		{Name: "kube-proxy", After: api, Args: []string{"--config=" + kubeProxyFile}},
	}
	if n.Number != 1 {
		return programs
	}
	return append([]node.Program{
		{Name: "etcd", Args: etcdFlags(n)},
		{Name: "kube-apiserver", After: "tcp:127.0.0.1:2379", Args: apiServerFlags(cluster)},
		{Name: "kube-controller-manager", After: api, Args: controllerManagerFlags(cluster)},
		{Name: "kube-scheduler", After: api, Args: schedulerFlags()},
	}, programs...)
}

func etcdFlags(n *plan.Node) []string {
	const client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
	return []string{
		"--name=" + n.Name,
		"--data-dir=/var/lib/etcd",
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=" + n.Name + "=" + peer,
		// Its data goes with the lab: to write it through to the disk would only cost time.
		"--unsafe-no-fsync",
		"--log-level=warn",
	}
}

func apiServerFlags(cluster *plan.Cluster) []string {
	return []string{
		"--advertise-address=" + cluster.APIServer().Addr().String(),
		fmt.Sprintf("--secure-port=%d", cluster.APIServer().Port()),
		"--allow-privileged=true",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--etcd-servers=http://127.0.0.1:2379",
		"--service-cluster-ip-range=" + cluster.Services.String(),
		"--client-ca-file=" + pkiDir + "/ca.crt",
		"--tls-cert-file=" + pkiDir + "/apiserver.crt",
		"--tls-private-key-file=" + pkiDir + "/apiserver.key",
		"--kubelet-certificate-authority=" + pkiDir + "/ca.crt",
		"--kubelet-client-certificate=" + pkiDir + "/apiserver-kubelet-client.crt",
		"--kubelet-client-key=" + pkiDir + "/apiserver-kubelet-client.key",
		// Names of nodes are in no DNS.
		"--kubelet-preferred-address-types=InternalIP",
		"--proxy-client-cert-file=" + pkiDir + "/front-proxy-client.crt",
		"--proxy-client-key-file=" + pkiDir + "/front-proxy-client.key",
		"--requestheader-client-ca-file=" + pkiDir + "/front-proxy-ca.crt",
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--service-account-issuer=https://kubernetes.default.svc." + cluster.Domain,
		"--service-account-key-file=" + pkiDir + "/sa.pub",
		"--service-account-signing-key-file=" + pkiDir + "/sa.key",
		"--profiling=false",
	}
}

func controllerManagerFlags(cluster *plan.Cluster) []string {
	file := kubeconfigFile("kube-controller-manager")
	return []string{
		"--kubeconfig=" + file,
		"--authentication-kubeconfig=" + file,
		"--authorization-kubeconfig=" + file,
		"--client-ca-file=" + pkiDir + "/ca.crt",
		"--requestheader-client-ca-file=" + pkiDir + "/front-proxy-ca.crt",
		"--root-ca-file=" + pkiDir + "/ca.crt",
		"--cluster-name=" + cluster.Name,
		"--cluster-signing-cert-file=" + pkiDir + "/ca.crt",
		"--cluster-signing-key-file=" + pkiDir + "/ca.key",
		"--service-account-private-key-file=" + pkiDir + "/sa.key",
		"--use-service-account-credentials=true",
		"--controllers=*,bootstrap-signer-controller,token-cleaner-controller",
		"--bind-address=127.0.0.1",
		// There is no second one.
		"--leader-elect=false",
		"--profiling=false",
	}
}

func schedulerFlags() []string {
	file := kubeconfigFile("kube-scheduler")
	return []string{
		"--kubeconfig=" + file,
		"--authentication-kubeconfig=" + file,
		"--authorization-kubeconfig=" + file,
		"--bind-address=127.0.0.1",
		"--leader-elect=false",
		"--profiling=false",
	}
}
