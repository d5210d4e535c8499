// Package clusterlocal decides which hosts stay inside their cluster although it
// shares a mesh with others: those of Services and namespaces that a person has
// labelled (v1alpha1.ClusterLocalLabel).
package clusterlocal

import (
	"slices"
)

// Service that is labelled.
type Service struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// Hosts are those for Istio's MeshConfig.serviceSettings, sorted: every host
// of a labelled namespace, and the labelled Services of the others.
func Hosts(services []Service, namespaces []string, clusterDomain string) []string {
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
