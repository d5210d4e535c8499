// Package drift decides what of the module's control plane somebody deleted or
// edited, and whether Helm is to be asked to restore it.
//
// addon-operator runs Helm when the rendered manifests have changed, or, every few
// minutes, when an object is missing. An edited object is neither. So the manifests
// show a text that changes with every new deviation: what Next returns.
package drift

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// Object is one that is in the cluster.
type Object struct {
	Kind    string   `json:"kind"`
	Name    string   `json:"name"`
	Writers []Writer `json:"writers"`
	// Spoilt says why the object cannot be written any more by whoever fills it
	// (Filled); "" while it can.
	Spoilt string `json:"spoilt"`
}

// Key names the object as the lists of this package do: Kind/name.
func (o Object) Key() string { return o.Kind + "/" + o.Name }

// Writer is an entry of metadata.managedFields that is not of a subresource.
type Writer struct {
	Manager string `json:"manager"`
	// Label tells whether it owns the label heritage, which only Helm has a reason to write.
	Label bool `json:"label"`
	// Content tells whether it owns anything that makes the object what it is:
	// webhooks, spec, data unless that is others' affair (Filled).
	Content bool `json:"content"`
	// Time of its last write, as in managedFields; "" where Label is true, as Helm's writes are no news.
	Time string `json:"time"`
}

// Deviation is an object that is not as Helm left it.
type Deviation struct {
	// Object is its key.
	Object string
	// By is the field manager of whoever edited it; "" when it is gone.
	By string
	// edit tells one edit from every other; "" when the object is gone.
	edit string
}

// Absent tells whether the object is gone.
func (d Deviation) Absent() bool { return d.edit == "" }

// istiodManager is the field manager of istiod itself: the name of its program.
const istiodManager = "pilot-discovery"

// Find returns the deviations among the wanted objects, in their order. What is
// not there is gone only if it was: rendered lists what Helm has applied.
func Find(wanted, rendered []string, present []Object) []Deviation {
	byKey := make(map[string]Object, len(present))
	for _, object := range present {
		byKey[object.Key()] = object
	}
	helm := helmManagers(present)
	var found []Deviation
	for _, key := range wanted {
		object, there := byKey[key]
		switch {
		case there:
			found = append(found, edits(object, helm)...)
		case slices.Contains(rendered, key):
			found = append(found, Deviation{Object: key})
		}
	}
	return found
}

// helmManagers are those that own the label heritage of more than one object:
// what Helm is called depends on the operator's release, and somebody who
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

// edits lists who else wrote the object's content, each with its last edit.
func edits(object Object, helm map[string]bool) []Deviation {
	last := map[string]string{}
	for _, writer := range object.Writers {
		if writer.Content && !helm[writer.Manager] && writer.Manager != istiodManager {
			last[writer.Manager] = max(last[writer.Manager], writer.Time)
		}
	}
	var found []Deviation
	for manager, written := range last {
		sum := sha256.Sum256([]byte(strings.Join([]string{object.Key(), manager, written}, "\n")))
		found = append(found, Deviation{Object: object.Key(), By: manager, edit: hex.EncodeToString(sum[:4])})
	}
	slices.SortFunc(found, func(a, b Deviation) int { return strings.Compare(a.By, b.By) })
	return found
}

// Spoilt returns those of the wanted objects that nobody can put right: Helm leaves
// alone what it did not set, and the API server lets nobody make an object mutable
// again. They have to go, to be made anew. Like Find it goes by what Helm has applied.
func Spoilt(wanted, rendered []string, present []Object) []Object {
	var spoilt []Object
	for _, object := range present {
		if key := object.Key(); object.Spoilt != "" && slices.Contains(wanted, key) && slices.Contains(rendered, key) {
			spoilt = append(spoilt, object)
		}
	}
	return spoilt
}

// Next returns the text that the manifests are to show: the time of the last
// attempt to restore something, then the edits there were at that time, and what
// was gone lately. It differs from former when something is gone, unless that is so
// again and again (absence.go), or for an edit that no attempt was made for;
// else it is former. So an edit that Helm cannot undo, as of a field that the
// manifests leave alone, is attempted once.
func Next(former string, found []Deviation, now time.Time) string {
	attempted := strings.Fields(former)
	parts := []string{now.UTC().Format(time.RFC3339Nano)}
	gone := readAbsences(attempted, now)
	due := false
	for _, deviation := range found {
		if deviation.Absent() {
			due = gone.attempt(deviation.Object, now) || due
			continue
		}
		parts = append(parts, deviation.edit)
		due = due || !slices.Contains(attempted, deviation.edit)
	}
	if !due {
		return former
	}
	return strings.Join(append(parts, gone.texts()...), " ")
}
