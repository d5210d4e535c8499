// Package meshconfig decides what Istio's configuration takes from the cluster: the hosts that stay cluster-local,
// the revisions that webhooks point to, and what goes of it with a peer before Helm runs.
package meshconfig

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// serviceSettingsField of Istio's MeshConfig says, among other things, which hosts are cluster-local.
const serviceSettingsField = "serviceSettings"

// Service with the label v1alpha1.ClusterLocalLabel.
type Service struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

const (
	// MaxHosts of one namespace are named one by one.
	MaxHosts = 64
	// maxHostBytes of all namespaces together are: they stand in a ConfigMap of at most 1 MiB, beside all else.
	maxHostBytes = 128 << 10
)

// ClusterLocalHosts are the hosts that stay inside their cluster although it shares a mesh with others, sorted, for
// Istio's MeshConfig.serviceSettings: every host of a labelled namespace, and the labelled Services of the others.
//
// Whoever may label Services cannot fill the mesh's configuration with them: a namespace with more than MaxHosts of
// them is cluster-local as a whole, and so are those with the most where all together are more than maxHostBytes.
// These are widened, sorted.
func ClusterLocalHosts(services []Service, namespaces []string, clusterDomain string) (hosts, widened []string) {
	suffix := ".svc." + clusterDomain
	whole := map[string]bool{}
	for _, namespace := range namespaces {
		whole[namespace] = true
	}
	named := map[string][]string{}
	for _, service := range services {
		if !whole[service.Namespace] {
			named[service.Namespace] = append(named[service.Namespace], service.Name+"."+service.Namespace+suffix)
		}
	}
	bytes := 0
	for _, hosts := range named {
		bytes += bytesOf(hosts)
	}
	for _, namespace := range byBytes(named) {
		if hosts := named[namespace]; len(hosts) > MaxHosts || bytes > maxHostBytes && len(hosts) > 1 {
			whole[namespace] = true
			widened = append(widened, namespace)
			bytes -= bytesOf(hosts)
			delete(named, namespace)
		}
	}
	hosts = []string{}
	for namespace := range whole {
		hosts = append(hosts, "*."+namespace+suffix)
	}
	for _, list := range named {
		hosts = append(hosts, list...)
	}
	slices.Sort(hosts)
	slices.Sort(widened)
	return slices.Compact(hosts), widened
}

func bytesOf(hosts []string) (bytes int) {
	for _, host := range hosts {
		bytes += len(host)
	}
	return bytes
}

// byBytes are the namespaces, those with the most bytes of hosts first.
func byBytes(named map[string][]string) []string {
	return slices.SortedFunc(maps.Keys(named), func(a, b string) int {
		return cmp.Or(cmp.Compare(bytesOf(named[b]), bytesOf(named[a])), strings.Compare(a, b))
	})
}

// WithClusterLocalHosts returns a MeshConfig, YAML, with these hosts as the cluster-local ones and everything else as it
// is: what Helm renders once the values have them (templates/istiod/_mesh.tpl). It is the same text where it has them
// already. One that cannot be read is an error.
func WithClusterLocalHosts(mesh string, hosts []string) (string, error) {
	var config map[string]any
	if err := yaml.Unmarshal([]byte(mesh), &config); err != nil {
		return "", fmt.Errorf("read the mesh configuration: %w", err)
	}
	before, present := config[serviceSettingsField]
	if len(hosts) == 0 {
		if !present {
			return mesh, nil
		}
		delete(config, serviceSettingsField)
	} else {
		list := make([]any, len(hosts))
		for index, host := range hosts {
			list[index] = host
		}
		wanted := []any{map[string]any{"hosts": list, "settings": map[string]any{"clusterLocal": true}}}
		if reflect.DeepEqual(before, any(wanted)) {
			return mesh, nil
		}
		config[serviceSettingsField] = wanted
	}
	encoded, err := yaml.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("write the mesh configuration with cluster-local hosts: %w", err)
	}
	return strings.TrimSuffix(string(encoded), "\n"), nil
}
