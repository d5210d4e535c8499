// Package injection decides which revision of Istio is to inject a sidecar into
// a Pod, the way the API server and istiod do together: first the selectors of
// the webhooks (mutatingwebhook.yaml and revision-tags-mwc.yaml of Istio's
// chart), then istiod's own judgement (injectRequired in pkg/kube/inject).
package injection

import "regexp"

// Default is the tag that stands for the mesh's default revision, as in
// istio.io/rev=default.
const Default = "default"

const (
	yes     = "true"
	no      = "false"
	enabled = "enabled"
)

// ownRevision is how the module names revisions. Minors have two digits: anybody can
// label a Pod with numbers that no release will ever have.
var ownRevision = regexp.MustCompile(`^v[0-9]x[0-9]{1,2}$`)

// Own is true for a revision with a name in the form that the module gives. Others belong to
// another Istio beside it, or are typing errors.
func Own(revision string) bool { return ownRevision.MatchString(revision) }

// Namespace is what counts of a Namespace.
type Namespace struct {
	Name string `json:"name"`
	// Revision is the label istio.io/rev; nil without one.
	Revision *string `json:"revision,omitempty"`
	// Injection is the label istio-injection; nil without one.
	Injection *string `json:"injection,omitempty"`
	// Terminating namespaces take no new Pods.
	Terminating bool `json:"terminating,omitempty"`
}

// Pod is what counts of a Pod.
type Pod struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Inject is the label sidecar.istio.io/inject; nil without one.
	Inject *string `json:"inject,omitempty"`
	// InjectAnnotation is the annotation of the same name.
	InjectAnnotation string `json:"injectAnnotation,omitempty"`
	// Revision is the label istio.io/rev; nil without one.
	Revision *string `json:"revision,omitempty"`
	// HostNetwork Pods never get a sidecar: it would redirect the node's traffic.
	HostNetwork bool `json:"hostNetwork,omitempty"`
}

// ignoredNamespaces never get sidecars: IgnoredNamespaces of Istio's pkg/kube/inject.
var ignoredNamespaces = map[string]bool{
	"kube-system": true, "kube-public": true, "kube-node-lease": true, "local-path-storage": true,
}

// NamespaceRevision is the revision that a namespace's labels choose for its
// Pods, Default for the mesh's default one, and "" when they choose none.
func NamespaceRevision(namespace Namespace) string {
	switch {
	case ignoredNamespaces[namespace.Name]:
		return ""
	case namespace.Injection != nil:
		// istio-injection goes before istio.io/rev, and anything but "enabled" is no.
		if *namespace.Injection == enabled {
			return Default
		}
		return ""
	case namespace.Revision != nil:
		return *namespace.Revision
	default:
		return ""
	}
}

// Revision is the revision that is to inject a sidecar into pod when it is
// created in namespace, Default for the mesh's default one, and "" for no sidecar.
func Revision(namespace Namespace, pod Pod) string {
	chosen := chosen(namespace, pod)
	if pod.HostNetwork || ignoredNamespaces[namespace.Name] || optsOut(pod) {
		return ""
	}
	return chosen
}

// chosen is the revision whose webhooks select the Pod.
func chosen(namespace Namespace, pod Pod) string {
	if namespace.Injection != nil || namespace.Revision != nil {
		return NamespaceRevision(namespace)
	}
	// The namespace says nothing: the Pod may ask for itself.
	switch {
	case pod.Revision != nil:
		return *pod.Revision
	case pod.Inject != nil && *pod.Inject == yes:
		return Default
	default:
		return ""
	}
}

// optsOut is true for a Pod that wants no sidecar. The label goes before the annotation,
// even if its value means nothing; then nothing is said.
func optsOut(pod Pod) bool {
	if pod.Inject != nil {
		return *pod.Inject == no
	}
	return pod.InjectAnnotation == no
}
