// Package meshconfig decides what Istio's configuration takes from the cluster: the hosts that stay cluster-local, and
// the revisions that webhooks point to.
package meshconfig

import "slices"

// Service with the label v1alpha1.ClusterLocalLabel.
type Service struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// ClusterLocalHosts are the hosts that stay inside their cluster although it shares a mesh with others, sorted, for
// Istio's MeshConfig.serviceSettings: every host of a labelled namespace, and the labelled Services of the others.
func ClusterLocalHosts(services []Service, namespaces []string, clusterDomain string) []string {
	hosts := []string{}
	for _, namespace := range namespaces {
		hosts = append(hosts, "*."+namespace+".svc."+clusterDomain)
	}
	for _, service := range services {
		if !slices.Contains(namespaces, service.Namespace) {
			hosts = append(hosts, service.Name+"."+service.Namespace+".svc."+clusterDomain)
		}
	}
	slices.Sort(hosts)
	return slices.Compact(hosts)
}
