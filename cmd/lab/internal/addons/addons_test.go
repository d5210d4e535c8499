package addons

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
)

func TestAddonsHaveWhatIsPlannedForTheCluster(t *testing.T) {
	lab, err := plan.New(plan.Options{Clusters: 2, Nodes: 1, Mode: plan.Federation})
	if err != nil {
		t.Fatal(err)
	}
	pair := pki.Pair{Certificate: []byte("-----BEGIN\nabc\n"), Key: []byte("-----BEGIN\ndef\n")}
	objects, err := render(values{Cluster: &lab.Clusters[1], Version: "v1.36.3", Certificate: pair})
	if err != nil {
		t.Fatal(err)
	}
	field := func(kind, name string, path ...string) string {
		for _, object := range objects {
			u := unstructured.Unstructured{Object: object}
			if u.GetKind() == kind && u.GetName() == name {
				value, _, _ := unstructured.NestedString(object, path...)
				return value
			}
		}
		t.Errorf("no %s %s", kind, name)
		return ""
	}
	for what, test := range map[string]struct{ got, want string }{
		"cluster IP of DNS":   {field("Service", "kube-dns", "spec", "clusterIP"), "10.96.0.10"},
		"domain in DNS":       {field("ConfigMap", "coredns", "data", "Corefile"), "kubernetes cluster-b.local "},
		"address of ingress":  {field("Service", "traefik", "spec", "loadBalancerIP"), "10.89.2.128"},
		"certificate":         {field("Secret", "traefik", "stringData", "tls.crt"), string(pair.Certificate)},
		"Pods in the note":    {field("ConfigMap", "kubeadm-config", "data", "ClusterConfiguration"), "podSubnet: 10.244.0.0/16"},
		"version in the note": {field("ConfigMap", "kubeadm-config", "data", "ClusterConfiguration"), "kubernetesVersion: v1.36.3"},
	} {
		if !strings.Contains(test.got, test.want) {
			t.Errorf("%s: %q has no %q", what, test.got, test.want)
		}
	}
}
