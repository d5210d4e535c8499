// Package drift decides what of the module's control plane was deleted or edited,
// and whether Helm has to restore it.
//
// addon-operator runs Helm when the rendered manifests have changed, or, every few
// minutes, when an object is missing. An edited object is neither. So the manifests
// contain a text that changes with every new deviation: what Next returns.
package drift

import (
	"slices"
	"strings"
	"time"

	"github.com/deckhouse-mesh/istio/lib/names"
)

// Object is an object that exists in the cluster.
type Object struct {
	Kind    string   `json:"kind"`
	Name    string   `json:"name"`
	Writers []Writer `json:"writers"`
	// Unwritable says why the program that fills the object (Filled) cannot write it any
	// more; "" while it can.
	Unwritable string `json:"unwritable"`
}

// Key names the object as the lists of this package do: Kind/name.
func (o Object) Key() string { return o.Kind + "/" + o.Name }

// Writer is an entry of metadata.managedFields that is not of a subresource.
type Writer struct {
	Manager string `json:"manager"`
	// Label is true when it owns the label heritage, which only Helm has a reason to write.
	Label bool `json:"label"`
	// Content is true when it owns any of the object's content: webhooks, spec, or
	// data, unless other programs fill it (Filled).
	Content bool `json:"content"`
	// Time of its last write, as in managedFields; "" where Label is true, as Helm's writes are no edits.
	Time string `json:"time"`
}

// Deviation is an object that is not as Helm left it.
type Deviation struct {
	// Object is its key.
	Object string
	// By is the field manager that edited it; "" when it is missing.
	By string
	// edit identifies the edit; "" when the object is missing.
	edit string
}

// Absent is true when the object is missing.
func (d Deviation) Absent() bool { return d.edit == "" }

// Find returns the deviations among the wanted objects, in their order. An object
// is missing only if it has existed: rendered lists what Helm has applied.
func Find(wanted, rendered []string, present []Object) []Deviation {
	byKey := make(map[string]Object, len(present))
	for _, object := range present {
		byKey[object.Key()] = object
	}
	helm := helmManagers(present)
	var found []Deviation
	for _, key := range wanted {
		object, exists := byKey[key]
		switch {
		case exists:
			found = append(found, edits(object, helm)...)
		case slices.Contains(rendered, key):
			found = append(found, Deviation{Object: key})
		}
	}
	return found
}

// helmManagers are the field managers that own the label heritage of more than one
// object: Helm's own depends on the operator's release, and a person who
// replaces an object with all its labels is not Helm.
func helmManagers(present []Object) map[string]bool {
	objects := map[string]map[string]bool{}
	for _, object := range present {
		for _, writer := range object.Writers {
			if writer.Label {
				if objects[writer.Manager] == nil {
					objects[writer.Manager] = map[string]bool{}
				}
				objects[writer.Manager][object.Key()] = true
			}
		}
	}
	helm := make(map[string]bool, len(objects))
	for manager, labelled := range objects {
		helm[manager] = len(labelled) > 1
	}
	return helm
}

// ownManagers write what is right: istiod the certificates of its webhooks, and hooks what Helm will render.
var ownManagers = []string{names.IstiodFieldManager, names.TrustWithdrawalFieldManager, names.ClusterLocalFieldManager}

// edits lists the other field managers that wrote the object's content, each with its last edit.
func edits(object Object, helm map[string]bool) []Deviation {
	last := map[string]string{}
	for _, writer := range object.Writers {
		if writer.Content && !helm[writer.Manager] && !slices.Contains(ownManagers, writer.Manager) {
			last[writer.Manager] = max(last[writer.Manager], writer.Time)
		}
	}
	var found []Deviation
	for manager, written := range last {
		found = append(found, Deviation{Object: object.Key(), By: manager, edit: hashOf(strings.Join([]string{object.Key(), manager, written}, "\n"))})
	}
	slices.SortFunc(found, func(a, b Deviation) int { return strings.Compare(a.By, b.By) })
	return found
}

// Unwritable returns those of the wanted objects that cannot be repaired: Helm leaves
// alone what it did not set, and the API server never makes an object mutable
// again. They have to be deleted and created again. Like Find, it considers only what Helm has applied.
func Unwritable(wanted, rendered []string, present []Object) []Object {
	var unwritable []Object
	for _, object := range present {
		if key := object.Key(); object.Unwritable != "" && slices.Contains(wanted, key) && slices.Contains(rendered, key) {
			unwritable = append(unwritable, object)
		}
	}
	return unwritable
}

// Next returns the text for the manifests: the time of the last attempt to restore
// something, then the edits at that time, and what was restored lately. It differs
// from former when an object is missing or was edited, unless that happens repeatedly
// (attempts.go); else it is former. So there is one attempt at an edit that Helm
// cannot revert, as of a field that the manifests leave alone.
func Next(former string, found []Deviation, now time.Time) string {
	attempted := strings.Fields(former)
	parts := []string{now.UTC().Format(time.RFC3339Nano)}
	absences, edits := absent.read(attempted, now), edited.read(attempted, now)
	due := false
	for _, deviation := range found {
		if deviation.Absent() {
			due = absences.add(deviation.Object, now) || due
			continue
		}
		parts = append(parts, deviation.edit)
		if !slices.Contains(attempted, deviation.edit) {
			due = edits.add(deviation.contest(), now) || due
		}
	}
	if !due {
		return former
	}
	return strings.Join(slices.Concat(parts, absences.texts(), edits.texts()), " ")
}

// Contested returns the deviations that another field manager has made so often
// that they are restored seldom by now. repair is what Next has returned.
func Contested(repair string, found []Deviation, now time.Time) []Deviation {
	edits := edited.read(strings.Fields(repair), now)
	var contested []Deviation
	for _, deviation := range found {
		if !deviation.Absent() && edits.exhausted(deviation.contest()) {
			contested = append(contested, deviation)
		}
	}
	return contested
}

// contest is about what two field managers disagree.
func (d Deviation) contest() string { return d.Object + "\n" + d.By }
