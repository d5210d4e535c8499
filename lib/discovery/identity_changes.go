package discovery

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// A change of what a peer is (key, roots, UUID, API, network) is a Helm release
// here, a certificate for every sidecar, and a new kubeconfig for istiod. A peer
// may rotate all of them within minutes, but not cause such work without end.
const (
	// identityBurst is how many such changes are accepted as they come.
	identityBurst = 4
	// identityInterval is how long the next one waits after a burst.
	identityInterval = 5 * time.Minute
	// identityMemory is after how long a change is no longer counted.
	identityMemory = identityBurst * identityInterval
)

// recentChanges are those of the past that are still counted, the oldest first. A
// time in the future means that the clock was set back.
func recentChanges(changes []metav1.Time, now time.Time) []metav1.Time {
	recent := slices.DeleteFunc(slices.Clone(changes), func(change metav1.Time) bool {
		return change.After(now) || now.Sub(change.Time) >= identityMemory
	})
	return recent[max(0, len(recent)-identityBurst):]
}

// admitChange returns the changes with one more at now, or false and when the
// next one is accepted. The times are stored in the resource's status, so that a
// restart of the operator forgets none.
func admitChange(changes []metav1.Time, now time.Time) (admitted []metav1.Time, next time.Time, ok bool) {
	recent := recentChanges(changes, now)
	if len(recent) == identityBurst {
		if next = recent[identityBurst-1].Add(identityInterval); now.Before(next) {
			return recent, next, false
		}
		recent = recent[1:]
	}
	return append(recent, metav1.NewTime(now.UTC().Truncate(time.Second))), time.Time{}, true
}

// addsIdentity is true when after has a key, a root or a UUID that before does
// not have. Withdrawals add nothing and are never delayed; nor is a peer's first identity.
func addsIdentity(before, after *metadata.Public) bool {
	if before == nil {
		return false
	}
	if before.ClusterUUID != after.ClusterUUID || before.AuthnKeyPub != after.AuthnKeyPub {
		return true
	}
	if before.RootCA == after.RootCA {
		return false
	}
	known := certificatesOf(before.RootCA)
	return slices.ContainsFunc(certificatesOf(after.RootCA), func(root string) bool { return root != "" && !slices.Contains(known, root) })
}

// addsAccess is true when after leads to another API or another network than before.
func addsAccess(before, after *metadata.Multicluster) bool {
	return before != nil && (before.APIHost != after.APIHost || before.NetworkName != after.NetworkName)
}

// certificatesOf splits a bundle of package metadata, which encodes equal certificates alike.
func certificatesOf(bundle string) []string {
	return strings.SplitAfter(bundle, "-----END CERTIFICATE-----\n")
}
