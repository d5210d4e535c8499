// Package installation decides which versions of Istio are installed: those of
// the settings, and those that somebody still uses.
package installation

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/deckhouse-mesh/istio/lib/injection"
)

// Pod is what counts of a Pod.
type Pod struct {
	injection.Pod
	injection.Sidecar
	// Finished Pods run no more.
	Finished bool `json:"finished,omitempty"`
	// Own Pods are the module's.
	Own bool `json:"own,omitempty"`
	// Istiod is a control plane, which does not use its revision but is it.
	Istiod bool `json:"istiod,omitempty"`
}

// Use tells who uses a revision.
type Use struct {
	// People's namespaces and Pods, as a person would write them, sorted.
	People []string
	// Module is true when the module itself does: the webhooks of the default
	// revision point to it, or the gateway runs it. It moves on by itself.
	Module bool
	// Sidecars is true when one of the revision runs, so that it was installed.
	Sidecars bool
}

// Usage of all revisions. Unless it is known, nobody can be said not to use one.
type Usage struct {
	Known bool
	// Uses by the name of the revision.
	Uses map[string]Use
}

// Observe finds out who uses which revision. A cluster without namespaces or
// Pods does not exist, so a snapshot without them is one that failed.
// defaultRevision is where webhooks of the default revision point, "" when nowhere.
func Observe(namespaces []injection.Namespace, pods []Pod, defaultRevision string) Usage {
	usage := Usage{Known: len(namespaces) > 0 && len(pods) > 0, Uses: map[string]Use{}}
	labels := make(map[string]injection.Namespace, len(namespaces))
	for _, namespace := range namespaces {
		labels[namespace.Name] = namespace
		if !namespace.Terminating {
			usage.byPeople(injection.NamespaceRevision(namespace), "namespace "+namespace.Name)
		}
	}
	if defaultRevision != "" {
		usage.byModule(defaultRevision)
	}
	for _, pod := range pods {
		switch {
		case pod.Istiod || pod.Finished:
		case pod.Own:
			// Rendered by the module, with the revision it runs in its label.
			if pod.Pod.Revision != nil {
				usage.byModule(*pod.Pod.Revision)
			}
		default:
			usage.byPod(labels[pod.Namespace], pod)
		}
	}
	for revision, use := range usage.Uses {
		slices.Sort(use.People)
		use.People = slices.Compact(use.People)
		usage.Uses[revision] = use
	}
	return usage
}

// byPod notes what pod runs, and what it would get again. What it gets from its
// namespace's label is the namespace's use.
func (u Usage) byPod(namespace injection.Namespace, pod Pod) {
	who := fmt.Sprintf("Pod %s/%s", pod.Namespace, pod.Name)
	if running := pod.Sidecar.Revision; running != "" {
		u.byPeople(running, who)
		use := u.Uses[running]
		use.Sidecars = true
		u.Uses[running] = use
	}
	if namespace.Injection == nil && namespace.Revision == nil {
		u.byPeople(injection.Revision(namespace, pod.Pod), who)
	}
}

// byPeople leaves out the default tag: whatever names it follows the module.
func (u Usage) byPeople(revision, who string) {
	if revision == "" || revision == injection.Default {
		return
	}
	use := u.Uses[revision]
	use.People = append(use.People, who)
	u.Uses[revision] = use
}

func (u Usage) byModule(revision string) {
	use := u.Uses[revision]
	use.Module = true
	u.Uses[revision] = use
}

// ownRevision is how the module names revisions. Others belong to an Istio that
// somebody installed beside it, or are typing errors.
var ownRevision = regexp.MustCompile(`^v[0-9]+x[0-9]+$`)
