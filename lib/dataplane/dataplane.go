// Package dataplane compares the sidecars that Pods have with those they would
// get if they were created now.
package dataplane

import (
	"k8s.io/apimachinery/pkg/util/version"

	"github.com/deckhouse-mesh/istio/lib/injection"
)

// None stands for the revision of a Pod that has, or is to have, no sidecar.
const None = "none"

// Problem is what is wrong with a Pod's sidecar. A Pod has one at most, the
// first that applies in the order of Problems.
type Problem string

// Problems of Pods with sidecars of the module. All but the first are cured by restarting the Pod.
const (
	// RevisionNotInstalled: the labels choose a revision that no istiod serves.
	RevisionNotInstalled Problem = "RevisionNotInstalled"
	// SidecarMissing: the labels choose a revision, and there is no sidecar.
	SidecarMissing Problem = "SidecarMissing"
	// OtherRevision: the sidecar is of another revision than the labels choose, or they choose none any more.
	OtherRevision Problem = "OtherRevision"
	// OlderVersion: the sidecar is older than the istiod of its revision.
	OlderVersion Problem = "OlderVersion"
)

// Problems lists all of them.
func Problems() []Problem {
	return []Problem{RevisionNotInstalled, SidecarMissing, OtherRevision, OlderVersion}
}

// Pod is what counts of a Pod.
type Pod struct {
	injection.Pod
	injection.Sidecar
	// Finished Pods need no sidecar any more.
	Finished bool `json:"finished,omitempty"`
	// Own Pods are the module's, which cares for them itself.
	Own bool `json:"own,omitempty"`
}

// Installed is what the module has installed.
type Installed struct {
	// FullVersions by revision: v1x31 is 1.31.3.
	FullVersions map[string]string
	// DefaultRevision serves Pods whose labels name none; "" when none does.
	DefaultRevision string
}

// State of one Pod's sidecar.
type State struct {
	Namespace, Pod string
	// DesiredRevision is what the labels choose now, None for no sidecar.
	DesiredRevision string
	// DesiredFullVersion is that of the installed istiod, injection.Unknown when there is none.
	DesiredFullVersion string
	// Revision the Pod has, or None.
	Revision string
	// FullVersion of its sidecar, injection.Unknown when it cannot be determined.
	FullVersion string
	// Problem is "" when all is well.
	Problem Problem
}

// States lists every Pod that has, or is to have, a sidecar of the module.
func States(namespaces []injection.Namespace, pods []Pod, installed Installed) []State {
	labels := make(map[string]injection.Namespace, len(namespaces))
	for _, namespace := range namespaces {
		labels[namespace.Name] = namespace
	}
	var states []State
	for _, pod := range pods {
		if pod.Own || pod.Finished {
			continue
		}
		namespace, known := labels[pod.Namespace]
		if !known {
			// It has come since the namespaces were listed.
			continue
		}
		desired := injection.Revision(namespace, pod.Pod)
		if desired == injection.Default && installed.DefaultRevision != "" {
			desired = installed.DefaultRevision
		}
		if !ours(desired) && (pod.Sidecar.Revision == "" || pod.Foreign()) {
			continue
		}
		states = append(states, state(pod, desired, installed))
	}
	return states
}

// state judges one Pod; desired may be "", and injection.Default when there is none.
func state(pod Pod, desired string, installed Installed) State {
	judged := State{
		Namespace: pod.Namespace, Pod: pod.Name,
		DesiredRevision: None, DesiredFullVersion: None,
		Revision: None, FullVersion: None,
	}
	available := false
	if desired != "" {
		judged.DesiredRevision, judged.DesiredFullVersion = desired, injection.Unknown
		var full string
		if full, available = installed.FullVersions[desired]; available {
			judged.DesiredFullVersion = full
		}
	}
	if pod.Sidecar.Revision != "" {
		judged.Revision, judged.FullVersion = pod.Sidecar.Revision, pod.FullVersion()
	}
	switch {
	case ours(desired) && !available:
		judged.Problem = RevisionNotInstalled
	case judged.Revision == None:
		judged.Problem = SidecarMissing
	case judged.Revision != judged.DesiredRevision:
		judged.Problem = OtherRevision
	case older(judged.FullVersion, judged.DesiredFullVersion):
		judged.Problem = OlderVersion
	}
	return judged
}

// ours is true for labels that choose a revision of the module.
func ours(revision string) bool { return revision == injection.Default || injection.Own(revision) }

// older is false unless both versions are known.
func older(has, wants string) bool {
	actual, err := version.ParseSemantic(has)
	if err != nil {
		return false
	}
	desired, err := version.ParseSemantic(wants)
	return err == nil && actual.LessThan(desired)
}
