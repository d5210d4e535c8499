// Package registrysecret decides which of the Secrets with the registry's
// credentials have to be written into the applications' namespaces, for the
// images of sidecars.
package registrysecret

import (
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// Secret is one that is there.
type Secret struct {
	Namespace string `json:"namespace"`
	// Managed is true for one that the module has made.
	Managed bool   `json:"managed"`
	Type    string `json:"type"`
	// Config is its .dockerconfigjson, in base64.
	Config string `json:"config"`
}

// Action is what to do with a Secret.
type Action string

// Actions.
const (
	Create Action = "Create"
	Update Action = "Update"
	Delete Action = "Delete"
	// Taken: a Secret is in the way that the module has not made, or whose type it cannot change.
	Taken Action = "Taken"
)

// Change is what to do in a namespace, and for which credentials.
type Change struct {
	Namespace string
	Action    Action
	config    string
}

// Changes lists what has to be done so that each of namespaces, but for the
// module's own, has config (base64), and no other has it; sorted by namespace.
// Without config no namespace has it.
func Changes(config string, namespaces []string, found []Secret) []Change {
	var changes []Change
	there := make(map[string]Secret, len(found))
	for _, secret := range found {
		there[secret.Namespace] = secret
	}
	wanted := map[string]bool{}
	for _, namespace := range namespaces {
		if config == "" || namespace == v1alpha1.Namespace {
			continue
		}
		wanted[namespace] = true
		secret, exists := there[namespace]
		action := Create
		switch {
		case exists && (!secret.Managed || secret.Type != string(corev1.SecretTypeDockerConfigJson)):
			action = Taken
		case exists && secret.Config == config:
			continue
		case exists:
			action = Update
		}
		changes = append(changes, Change{namespace, action, config})
	}
	for namespace, secret := range there {
		if secret.Managed && !wanted[namespace] {
			changes = append(changes, Change{namespace, Delete, ""})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return strings.Compare(a.Namespace, b.Namespace) })
	return changes
}

// Retry remembers which changes have failed, and when to try each again. The
// zero value is ready. It is safe for concurrent use.
type Retry struct {
	mu     sync.Mutex
	failed map[string]failure
}

type failure struct {
	change Change
	next   time.Time
	delay  time.Duration
}

// Delays between attempts.
const (
	firstDelay   = 30 * time.Second
	longestDelay = 15 * time.Minute
)

// Due is true for a change that has not failed, or whose time has come.
func (r *Retry) Due(change Change, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, failed := r.failed[change.Namespace]
	return !failed || last.change != change || !now.Before(last.next)
}

// Failed puts off the next attempt of the change, for longer each time.
func (r *Retry) Failed(change Change, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = map[string]failure{}
	}
	delay := firstDelay
	if last, failed := r.failed[change.Namespace]; failed && last.change == change {
		delay = min(2*last.delay, longestDelay)
	}
	r.failed[change.Namespace] = failure{change, now.Add(delay), delay}
}

// Forget that the namespace's change has failed.
func (r *Retry) Forget(namespace string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.failed, namespace)
}
