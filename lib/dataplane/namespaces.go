package dataplane

import (
	"maps"
	"slices"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/injection"
)

// Namespaces lists, sorted, those with Pods that have, or are to have, a sidecar
// of the module, and those whose labels announce such Pods. The module's own is not among them,
// and none that is being deleted: nothing can be created there.
func Namespaces(namespaces []injection.Namespace, pods []Pod) []string {
	open := make(map[string]injection.Namespace, len(namespaces))
	found := map[string]bool{}
	for _, namespace := range namespaces {
		if namespace.Terminating || namespace.Name == v1alpha1.Namespace {
			continue
		}
		open[namespace.Name] = namespace
		if ours(injection.NamespaceRevision(namespace)) {
			found[namespace.Name] = true
		}
	}
	for _, pod := range pods {
		namespace, ok := open[pod.Namespace]
		has := pod.Sidecar.Revision != "" && !pod.Foreign()
		if ok && !pod.Finished && (has || ours(injection.Revision(namespace, pod.Pod))) {
			found[namespace.Name] = true
		}
	}
	// Never nil: values distinguish an empty list from none.
	names := slices.AppendSeq([]string{}, maps.Keys(found))
	slices.Sort(names)
	return names
}
