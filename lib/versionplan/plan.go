package versionplan

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/deckhouse-mesh/istio/lib/injection"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// Settings is the part of the module's settings that names versions.
type Settings struct {
	// GlobalVersion as in "1.31"; "" is the default of the module's release.
	GlobalVersion string
	// AdditionalVersions are installed beside it.
	AdditionalVersions []string
}

// Present is the state of the cluster.
type Present struct {
	// Revisions that the module has installed, by objects of its own: people's Pods are no proof.
	Revisions []string
	// GlobalRevision that the settings wanted so far; "" when there was none.
	GlobalRevision string
	Usage          Usage
}

// Plan is what to install, and what to report to a person.
type Plan struct {
	// Versions to install, newest first.
	Versions []istioversion.Version
	// GlobalRevision that the settings want for namespaces and Pods that name none; ""
	// when they cannot be followed and there was none before.
	GlobalRevision string
	// Rejected names the versions of the settings that do not exist; the
	// installed versions stay as long as there are any.
	Rejected error
	// Retained versions are not in the settings, but people use them.
	Retained []Retained
	// Unclear versions are not in the settings, and it is unknown whether the
	// sidecars of Users are theirs.
	Unclear []Retained
	// Unavailable revisions are used, and this release of the module cannot install them.
	Unavailable []Unavailable
	// Stranded revisions were installed by an earlier release of the module, and
	// this one cannot install them, while the settings are rejected: nothing may be
	// changed, or they would be removed without a replacement.
	Stranded []string
}

// Retained is a version that stays because people use it, or may use it.
type Retained struct {
	Version istioversion.Version
	// Users are people's namespaces and Pods.
	Users []User
}

// Unavailable is a revision that people use and that cannot be installed.
type Unavailable struct {
	Revision string
	// Users are people's namespaces and Pods.
	Users []User
}

// Decide makes the plan. It removes an installed version only when the settings can
// be followed and it is known that no namespace and no Pod uses it.
func Decide(settings Settings, present Present) Plan {
	wanted, plan := settings.resolve(present.GlobalRevision)
	for _, version := range istioversion.All() {
		revision := version.Revision()
		use := present.Usage.Uses[revision]
		inUse := len(use.People) > 0 || use.Module
		// Labels and annotations alone install nothing: their authors do not decide on control planes.
		wasInstalled := slices.Contains(present.Revisions, revision)
		switch {
		case wanted[revision]:
		case wasInstalled && inUse:
			if len(use.People) > 0 {
				plan.Retained = append(plan.Retained, Retained{version, use.People})
			}
		case wasInstalled && (!present.Usage.Known || plan.Rejected != nil):
			if len(present.Usage.Unclear) > 0 {
				plan.Unclear = append(plan.Unclear, Retained{version, present.Usage.Unclear})
			}
		default:
			continue
		}
		plan.Versions = append(plan.Versions, version)
	}
	plan.Unavailable = unavailable(present)
	if plan.Rejected != nil {
		plan.Stranded = stranded(present)
	}
	return plan
}

// stranded lists installed revisions that no row of the table has.
func stranded(present Present) []string {
	var lost []string
	for _, revision := range present.Revisions {
		if _, known := istioversion.FindRevision(revision); !known && injection.Own(revision) {
			lost = append(lost, revision)
		}
	}
	slices.Sort(lost)
	return slices.Compact(lost)
}

// resolve returns the revisions that the settings name, and a plan that follows from them alone.
func (s Settings) resolve(formerGlobal string) (map[string]bool, Plan) {
	var plan Plan
	wanted := map[string]bool{}
	global := cmp.Or(s.GlobalVersion, istioversion.Default().Version)
	if version, err := istioversion.Find(global); err != nil {
		plan.Rejected = errors.Join(plan.Rejected, fmt.Errorf("globalVersion: %w", err))
		if _, known := istioversion.FindRevision(formerGlobal); known {
			plan.GlobalRevision = formerGlobal
			wanted[formerGlobal] = true
		}
	} else {
		plan.GlobalRevision = version.Revision()
		wanted[version.Revision()] = true
	}
	for index, name := range s.AdditionalVersions {
		version, err := istioversion.Find(name)
		if err != nil {
			plan.Rejected = errors.Join(plan.Rejected, fmt.Errorf("additionalVersions[%d]: %w", index, err))
			continue
		}
		wanted[version.Revision()] = true
	}
	return wanted, plan
}

// unavailable lists revisions named as the module's are that no row of the table has.
func unavailable(present Present) []Unavailable {
	var lost []Unavailable
	for _, revision := range slices.Sorted(maps.Keys(present.Usage.Uses)) {
		use := present.Usage.Uses[revision]
		if _, known := istioversion.FindRevision(revision); known || !injection.Own(revision) || len(use.People) == 0 {
			continue
		}
		lost = append(lost, Unavailable{revision, use.People})
	}
	return lost
}

// named is how many namespaces a message names.
const named = 10

// Name lists the first namespaces of users, and says how many more
// there are. It does not name Pods, which change often, so that the message
// stays the same.
func Name(users []User) string {
	var names []string
	for _, user := range users {
		name := "namespace " + user.Namespace
		if user.Pod != "" {
			name = "Pods in " + name
		}
		names = append(names, name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) <= named {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:named], ", "), len(names)-named)
}
