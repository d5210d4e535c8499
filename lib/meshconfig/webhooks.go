package meshconfig

import "slices"

// Istiod is one Pod of a control plane.
type Istiod struct {
	Revision string `json:"revision"`
	Ready    bool   `json:"ready"`
}

// Webhooks says where they point.
type Webhooks struct {
	// Revisions that have webhooks of their own.
	Revisions []string
	// DefaultRevision serves istio-injection=enabled and istio.io/rev=default; "" for none.
	DefaultRevision string
}

// WebhookTargets returns where webhooks are to point. installed lists the revisions to
// install, in the order of the outcome; global is the one that the settings want
// for namespaces and Pods that name none; before says where webhooks pointed so far.
//
// A webhook that points to an istiod that does not answer rejects every Pod it
// selects. So a revision gets its webhooks when its istiod is ready for the first
// time, and retains them from then on: without them Pods would start outside the
// mesh while istiod is away.
func WebhookTargets(installed []string, global string, pods []Istiod, before Webhooks) Webhooks {
	ready := Ready(installed, pods)
	targets := Webhooks{Revisions: []string{}}
	for _, revision := range installed {
		if ready[revision] || slices.Contains(before.Revisions, revision) || revision == before.DefaultRevision {
			targets.Revisions = append(targets.Revisions, revision)
		}
	}
	switch {
	case ready[global]:
		targets.DefaultRevision = global
	case slices.Contains(installed, before.DefaultRevision):
		targets.DefaultRevision = before.DefaultRevision
	}
	return targets
}

// Ready is true for an installed revision of which one istiod is ready.
func Ready(installed []string, pods []Istiod) map[string]bool {
	ready := make(map[string]bool, len(installed))
	for _, revision := range installed {
		ready[revision] = slices.Contains(pods, Istiod{revision, true})
	}
	return ready
}
