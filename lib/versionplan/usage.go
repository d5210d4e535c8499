// Package versionplan decides which versions of Istio are installed: those of
// the settings, and those that namespaces or Pods still use.
package versionplan

import (
	"cmp"
	"slices"

	"github.com/deckhouse-mesh/istio/lib/injection"
)

// Pod is the part of a Pod that matters here.
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

// Use is the use of one revision.
type Use struct {
	// People's namespaces and Pods, sorted.
	People []User
	// Module is true when the module itself does: the webhooks of the default
	// revision point to it, or the gateway runs it. It moves on by itself.
	Module bool
}

// User of a revision is a person's Pod, or all of a namespace when Pod is "".
type User struct {
	Namespace, Pod string
}

func (u User) compare(other User) int {
	return cmp.Or(cmp.Compare(u.Namespace, other.Namespace), cmp.Compare(u.Pod, other.Pod))
}

// Usage of all revisions. Unless it is known, every revision may be in use.
type Usage struct {
	Known bool
	// Unclear are Pods with a sidecar of unknown revision; with any, usage is not known.
	Unclear []User
	// Uses by the name of the revision.
	Uses map[string]Use
}

// Observe returns which namespaces and Pods use which revision. A cluster without namespaces or
// Pods does not exist, so a snapshot without them is one that failed.
// defaultRevision is where webhooks of the default revision point, "" when nowhere.
func Observe(namespaces []injection.Namespace, pods []Pod, defaultRevision string) Usage {
	usage := Usage{Known: len(namespaces) > 0 && len(pods) > 0, Uses: map[string]Use{}}
	labels := make(map[string]injection.Namespace, len(namespaces))
	for _, namespace := range namespaces {
		labels[namespace.Name] = namespace
		if !namespace.Terminating {
			usage.byPeople(injection.NamespaceRevision(namespace), User{Namespace: namespace.Name})
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
		slices.SortFunc(use.People, User.compare)
		use.People = slices.Compact(use.People)
		usage.Uses[revision] = use
	}
	usage.Known = usage.Known && len(usage.Unclear) == 0
	return usage
}

// byPod adds the revision that a Pod runs, and the one that it would get again. A revision from its
// namespace's label is the namespace's use.
func (u *Usage) byPod(namespace injection.Namespace, pod Pod) {
	who := User{pod.Namespace, pod.Name}
	if running := pod.Sidecar.Revision; running == injection.Unknown {
		u.Unclear = append(u.Unclear, who)
	} else {
		u.byPeople(running, who)
	}
	if namespace.Injection == nil && namespace.Revision == nil {
		u.byPeople(injection.Revision(namespace, pod.Pod), who)
	}
}

// byPeople leaves out the default tag: namespaces and Pods that name it follow the module.
func (u *Usage) byPeople(revision string, who User) {
	if revision == "" || revision == injection.Default {
		return
	}
	use := u.Uses[revision]
	use.People = append(use.People, who)
	u.Uses[revision] = use
}

func (u *Usage) byModule(revision string) {
	use := u.Uses[revision]
	use.Module = true
	u.Uses[revision] = use
}
