package cluster

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
)

func planned(t *testing.T, options plan.Options) *plan.Cluster {
	t.Helper()
	lab, err := plan.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return &lab.Clusters[len(lab.Clusters)-1]
}

func TestOnlyTheFirstNodeHasAControlPlane(t *testing.T) {
	cluster := planned(t, plan.Options{Clusters: 1, Nodes: 2, Mode: plan.Federation})
	names := func(n int) []string {
		var names []string
		for _, program := range programsOf(cluster, &cluster.Nodes[n]) {
			names = append(names, program.Name)
		}
		return names
	}
	nodeOwn := []string{"containerd", "kubelet", "kube-proxy"}
	controlPlane := []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
	if got := names(0); !slices.Equal(got, append(controlPlane, nodeOwn...)) {
		t.Errorf("first node: %v", got)
	}
	if got := names(1); !slices.Equal(got, nodeOwn) {
		t.Errorf("second node: %v", got)
	}
}

func TestOnlyTheFirstNodeHasTheKeysOfTheCluster(t *testing.T) {
	cluster := planned(t, plan.Options{Clusters: 1, Nodes: 2, Mode: plan.Federation})
	authorities, err := newAuthorities(cluster.Name)
	if err != nil {
		t.Fatal(err)
	}
	first, second := files{}, files{}
	for _, err := range []error{
		first.addNode(authorities, cluster, &cluster.Nodes[0]), first.addControlPlane(authorities, cluster),
		second.addNode(authorities, cluster, &cluster.Nodes[1]),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"ca.key", "sa.key", "apiserver.key"} {
		if first[pkiDir+"/"+key] == "" || second[pkiDir+"/"+key] != "" {
			t.Errorf("%s: first node %q, second %q", key, first[pkiDir+"/"+key], second[pkiDir+"/"+key])
		}
	}
	if !strings.Contains(second[kubeconfigFile("kubelet")], "system:node:cluster-a-2") || !strings.Contains(second[kubeconfigFile("kubelet")], "https://10.89.1.11:6443") {
		t.Errorf("kubeconfig of the second node's kubelet:\n%s", second[kubeconfigFile("kubelet")])
	}
}

func TestTheServersCertificateIsValidForItsAddresses(t *testing.T) {
	subject := apiServerSubject(planned(t, plan.Options{Clusters: 2, Nodes: 1, Mode: plan.Federation}))
	var addresses []string
	for _, ip := range subject.IPs {
		addresses = append(addresses, ip.String())
	}
	if !slices.Equal(addresses, []string{"10.89.2.11", "10.96.0.1", "127.0.0.1"}) {
		t.Errorf("addresses %v", addresses)
	}
	if !slices.Contains(subject.DNSNames, "kubernetes.default.svc.cluster-b.local") {
		t.Errorf("names %v", subject.DNSNames)
	}
}

func TestPodsHaveTheirNodesAddressOutsideUnlessTheirRangeIsRouted(t *testing.T) {
	separate := rules(planned(t, plan.Options{Clusters: 2, Nodes: 1, Mode: plan.Federation}))
	if !strings.Contains(separate, "ip saddr 10.244.0.0/16 ip daddr != 10.244.0.0/16 masquerade") {
		t.Errorf("separate: %s", separate)
	}
	if flat := rules(planned(t, plan.Options{Clusters: 2, Nodes: 1, Mode: plan.Multicluster})); flat != "" {
		t.Errorf("flat: %s", flat)
	}
}

func TestConfigurationsAreWellFormed(t *testing.T) {
	cluster := planned(t, plan.Options{Clusters: 1, Nodes: 1, Mode: plan.Federation})
	f := files{}
	f.addConfiguration(cluster, &cluster.Nodes[0])
	for file, want := range map[string]string{kubeletFile: "KubeletConfiguration", kubeProxyFile: "KubeProxyConfiguration"} {
		var object runtime.TypeMeta
		if err := yaml.Unmarshal([]byte(f[file]), &object); err != nil || object.Kind != want {
			t.Errorf("%s: kind %q, %v", file, object.Kind, err)
		}
	}
	var network struct{ Plugins []struct{ Type string } }
	if err := yaml.Unmarshal([]byte(f[networksDir+"/10-pods.conflist"]), &network); err != nil || len(network.Plugins) != 2 {
		t.Errorf("Pod network: %+v, %v", network, err)
	}
	if !strings.Contains(f[registriesDir+"/_default/hosts.toml"], `[host."http://10.89.0.1:5000"]`) {
		t.Errorf("registry: %s", f[registriesDir+"/_default/hosts.toml"])
	}
}
