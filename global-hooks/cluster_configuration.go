package globalhooks

import (
	"cmp"
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
//
// The domain is the mesh's trust domain, part of every identity that it issues
// and of every name that peers know, so it does not follow its source: once
// learned it is stored beside the cluster's UUID, and only a person changes it.
func clusterConfiguration(stated string) hookruntime.Hook {
	return hookruntime.Hook{
		Name: "cluster_configuration",
		Config: pkg.HookConfig{
			Kubernetes: []pkg.KubernetesConfig{
				object("kubeadm", "ConfigMap", "kube-system", "kubeadm-config", `.data.ClusterConfiguration // ""`),
				object("stored", "ConfigMap", uuidNamespace, uuidName, `.data["`+domainKey+`"] // ""`),
			},
		},
		Run: func(ctx context.Context, in *pkg.HookInput) error {
			found, readable, err := readNetwork(in)
			if err != nil {
				return err
			}
			domain, err := keepDomain(ctx, in, normalizeDomain(stated), normalizeDomain(found.DNSDomain))
			if err != nil {
				return err
			}
			set(in, "global.discovery.clusterDomain", domain)
			set(in, "global.clusterConfiguration.clusterDomain", domain)
			for path, subnet := range map[string]string{
				"global.clusterConfiguration.podSubnetCIDR":     subnets(found.PodSubnet),
				"global.clusterConfiguration.serviceSubnetCIDR": subnets(found.ServiceSubnet),
			} {
				// What is known stays when its source is lost.
				if readable || in.Values.Get(path).String() == "" {
					set(in, path, subnet)
				}
			}
			return nil
		},
	}
}

// readNetwork returns what kubeadm recorded, and false when that is nothing or cannot be read.
func readNetwork(in *pkg.HookInput) (found network, readable bool, err error) {
	document, err := text(in, "kubeadm")
	if err != nil {
		return network{}, false, err
	}
	var configuration struct {
		Networking network `json:"networking"`
	}
	if err := yaml.Unmarshal([]byte(document), &configuration); err != nil {
		in.Logger.Warn("the cluster's network is taken from flags, from what is known, and defaults: " +
			`parse ClusterConfiguration of ConfigMap "kube-system/kubeadm-config": ` + err.Error())
		return network{}, false, nil //nolint:nilerr // what is known stays in force
	}
	return configuration.Networking, document != "", nil
}

// keepDomain returns the cluster's domain and sees to it that it is stored: what
// a person stated, else what is stored, else what this process has used so far,
// else what kubeadm recorded, else the default.
func keepDomain(ctx context.Context, in *pkg.HookInput, stated, recorded string) (string, error) {
	stored, err := text(in, "stored")
	if err != nil {
		return "", err
	}
	known := in.Values.Get("global.discovery.clusterDomain").String()
	domain := cmp.Or(stated, normalizeDomain(stored), known, recorded, defaultClusterDomain)
	if domain != normalizeDomain(stored) {
		if stored, err = store(ctx, in.DC, domainKey, domain, stated != ""); err != nil {
			return "", err
		}
		domain = normalizeDomain(stored)
	}
	if recorded != "" && recorded != domain && stated == "" {
		in.Logger.Error(fmt.Sprintf(`kubeadm-config says that the cluster's domain is %q, but the mesh was set up with %q and stays with it: `+
			`a change breaks every identity in the mesh and every peer's trust in it. To change it on purpose, start the operator with --cluster-domain=%s`,
			recorded, domain, recorded))
	}
	return domain, nil
}

// normalizeDomain returns domain in the form in which domains are compared.
func normalizeDomain(domain string) string {
	return strings.Trim(strings.ToLower(strings.TrimSpace(domain)), ".")
}

// subnets returns the ranges of both address families, without spaces; empty stays empty.
func subnets(listed string) string {
	return strings.Join(strings.FieldsFunc(listed, func(r rune) bool { return r == ',' || r == ' ' }), ",")
}
