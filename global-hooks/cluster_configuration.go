package globalhooks

import (
	"context"
	"fmt"
	"strings"

	"github.com/deckhouse/module-sdk/pkg"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// defaultClusterDomain is Kubernetes' own default (kubelet's --cluster-domain
// as kubeadm sets it).
const defaultClusterDomain = "cluster.local"

// network is what kubeadm keeps about a cluster's network in ConfigMap
// kube-system/kubeadm-config.
type network struct {
	DNSDomain     string `json:"dnsDomain"`
	PodSubnet     string `json:"podSubnet"`
	ServiceSubnet string `json:"serviceSubnet"`
}

// clusterConfiguration finds the cluster's domain and network. stated, when not
// empty, is the domain that a person set.
func clusterConfiguration(stated string) hookruntime.Hook {
	return hookruntime.Hook{
		Name: "cluster_configuration",
		Config: pkg.HookConfig{
			Kubernetes: []pkg.KubernetesConfig{{
				Name:              "kubeadm",
				APIVersion:        "v1",
				Kind:              "ConfigMap",
				NameSelector:      &pkg.NameSelector{MatchNames: []string{"kubeadm-config"}},
				NamespaceSelector: &pkg.NamespaceSelector{NameSelector: &pkg.NameSelector{MatchNames: []string{"kube-system"}}},
				JqFilter:          `.data.ClusterConfiguration // ""`,
			}},
		},
		Run: func(_ context.Context, in *pkg.HookInput) error {
			var found network
			for _, snapshot := range in.Snapshots.Get("kubeadm") {
				var document string
				if err := snapshot.UnmarshalTo(&document); err != nil {
					return err
				}
				var err error
				if found, err = parseKubeadm(document); err != nil {
					in.Logger.Warn("the cluster's network is taken from flags and defaults: " + err.Error())
				}
			}
			domain := chooseDomain(stated, found.DNSDomain)
			set(in, "global.discovery.clusterDomain", domain)
			set(in, "global.clusterConfiguration.clusterDomain", domain)
			set(in, "global.clusterConfiguration.podSubnetCIDR", firstSubnet(found.PodSubnet))
			set(in, "global.clusterConfiguration.serviceSubnetCIDR", firstSubnet(found.ServiceSubnet))
			return nil
		},
	}
}

// parseKubeadm reads the ClusterConfiguration document of kubeadm-config.
func parseKubeadm(document string) (network, error) {
	var configuration struct {
		Networking network `json:"networking"`
	}
	if err := yaml.Unmarshal([]byte(document), &configuration); err != nil {
		return network{}, fmt.Errorf(`parse ClusterConfiguration of ConfigMap "kube-system/kubeadm-config": %w`, err)
	}
	return configuration.Networking, nil
}

// chooseDomain returns the cluster's domain: what a person stated goes before
// what kubeadm recorded, and that before the default.
func chooseDomain(stated, recorded string) string {
	for _, domain := range []string{stated, recorded} {
		if domain = strings.Trim(strings.ToLower(strings.TrimSpace(domain)), "."); domain != "" {
			return domain
		}
	}
	return defaultClusterDomain
}

// firstSubnet returns the primary range of a dual-stack pair; empty stays empty.
func firstSubnet(subnets string) string {
	first, _, _ := strings.Cut(subnets, ",")
	return strings.TrimSpace(first)
}
