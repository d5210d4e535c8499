package cluster

import (
	"fmt"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/fabric"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/node"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
)

const (
	containerdFile = "/etc/containerd/config.toml"
	registriesDir  = "/etc/containerd/certs.d"
	kubeletFile    = "/etc/kubernetes/kubelet.yaml"
	kubeProxyFile  = "/etc/kubernetes/kube-proxy.yaml"
	networksDir    = "/etc/cni/net.d"
	// PauseImage holds a Pod's namespaces.
	PauseImage = "registry.k8s.io/pause:3.10"
)

// RegistryPort of the fabric's registry, at the fabric's own address.
const RegistryPort = 5000

// addConfiguration adds what a node's programs read.
func (f files) addConfiguration(cluster *plan.Cluster, n *plan.Node) {
	f["/etc/hostname"] = n.Name + "\n"
	f["/etc/hosts"] = fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", n.Address, n.Name)
	f["/etc/resolv.conf"] = fabric.ResolvConf(cluster.Gateway)
	// The machine's own may ask a resolver of the machine.
	f["/etc/nsswitch.conf"] = "passwd: files\ngroup: files\nhosts: files dns\n"
	f[containerdFile] = containerdConfiguration
	f[registriesDir+"/_default/hosts.toml"] = registryConfiguration()
	f[networksDir+"/10-pods.conflist"] = podNetwork(n)
	f[kubeletFile] = kubeletConfiguration(cluster)
	f[kubeProxyFile] = kubeProxyConfiguration(cluster, n)
}

// containerdConfiguration:
//   - a process that lacks CAP_SYS_RESOURCE, as in many containers and VMs, cannot
//     give another a lower score for the OOM killer than its own;
//   - profiles of AppArmor belong to the whole machine and would stay there;
//   - the plugins that are off would make folders on the machine.
const containerdConfiguration = `version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[grpc]
  address = "` + containerdSocket + `"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "` + PauseImage + `"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "` + registriesDir + `"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["` + node.BinDir + `"]
  conf_dir = "` + networksDir + `"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
`

// registryConfiguration sends every image, whatever registry its name has, to the fabric's own.
func registryConfiguration() string {
	url := fmt.Sprintf("http://%s:%d", plan.FabricAddress, RegistryPort)
	return fmt.Sprintf("server = %q\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", url, url)
}

// podNetwork routes to each Pod of the node, so that replies to a Service pass
// the node's rules again also between Pods of one node: on a bridge that would
// take the module br_netfilter.
func podNetwork(n *plan.Node) string {
	return fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipam": {
    "type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "/run/cni"}},
  {"type": "portmap", "capabilities": {"portMappings": true}, "backend": "nftables"}]}
`, n.Pods)
}

func kubeletConfiguration(cluster *plan.Cluster) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[1]s/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: %[1]s/kubelet.crt
tlsPrivateKeyFile: %[1]s/kubelet.key
containerRuntimeEndpoint: unix://%[2]s
cgroupDriver: cgroupfs
# Both versions of control groups will do.
failCgroupV1: false
failSwapOn: false
clusterDNS: [%[3]q]
clusterDomain: %[4]s
resolvConf: /etc/resolv.conf
# Nodes live for minutes, and a container that crashed is started again within a second.
crashLoopBackOff: {maxContainerRestartPeriod: 1s}
# All nodes share one disk with the person's own files: what is full there is not theirs to clear.
# Absolute: a share of a large disk can be more than the whole lab needs.
evictionHard: {memory.available: 100Mi, nodefs.available: 200Mi, imagefs.available: 200Mi}
imageGCHighThresholdPercent: 100
# The usual folder is outside of what a node has of its own.
volumePluginDir: /var/lib/kubelet/volume-plugins
`, pkiDir, containerdSocket, cluster.DNSService(), cluster.Domain)
}

func kubeProxyConfiguration(cluster *plan.Cluster, n *plan.Node) string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: %s}
clusterCIDR: %s
hostnameOverride: %s
# The number of connections that a kernel remembers is the machine's to set.
conntrack: {maxPerCore: 0, min: 0}
`, kubeconfigFile("kube-proxy"), cluster.Pods, n.Name)
}

// rules of nftables of a node besides kube-proxy's: what leaves the cluster from
// a Pod has the node's address, where nobody outside has a route to the Pod.
func rules(cluster *plan.Cluster) string {
	if !cluster.Masquerade {
		return ""
	}
	return fmt.Sprintf(`table ip lab-masquerade {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr %[1]s ip daddr != %[1]s masquerade
	}
}
`, cluster.Pods)
}
