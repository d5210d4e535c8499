package rendertest

import (
	"slices"
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/drift"
)

// TestObjectsThatAreRestoredAreRendered: an object that is looked for and never rendered
// would have Helm run for nothing, again and again.
func TestObjectsThatAreRestoredAreRendered(t *testing.T) {
	m := load(t)
	none := func(values Values) {
		values.Set([]any{}, "istio", "internal", "webhookRevisions")
		values.Set("", "istio", "internal", "defaultRevision")
	}
	for name, test := range map[string]struct {
		release  drift.Release
		settings string
		change   func(Values)
	}{
		"all of a control plane":                       {drift.Release{Revisions: revisions, WebhookRevisions: revisions, DefaultRevision: "v1x31"}, "{}", nil},
		"no webhooks before istiod's ready":            {drift.Release{Revisions: revisions}, "{}", none},
		"what is written of federated clusters":        {drift.Release{Revisions: revisions, Federation: true}, federation, none},
		"what is written of clusters of the same mesh": {drift.Release{Revisions: revisions, Multicluster: true}, multicluster, none},
		"whom the healthcheck calls, and its reports":  {drift.Release{Revisions: revisions, Federation: true, Healthcheck: true}, federation, none},
	} {
		t.Run(name, func(t *testing.T) {
			objects := m.render(t, test.settings, test.change)
			wanted := map[string]bool{}
			for _, key := range test.release.Objects() {
				wanted[key] = true
				object, ok := objects[key]
				if !ok {
					t.Errorf("%s is missed, and not rendered", key)
					continue
				}
				labels := object.GetLabels()
				if labels["heritage"] != "deckhouse" || labels["module"] != "istio" {
					t.Errorf("%s is found by the labels of the module, and has %v", key, labels)
				}
			}
			for key := range objects {
				if strings.Contains(key, "WebhookConfiguration/") && !wanted[key] {
					t.Errorf("%s is rendered, and nobody would miss it", key)
				}
			}
		})
	}
}

// TestObjectsThatOthersFillAreRenderedEmpty: Helm would fight over any key with who writes it.
func TestObjectsThatOthersFillAreRenderedEmpty(t *testing.T) {
	objects := load(t).render(t, federation+"\n"+multicluster, nil)
	for _, name := range drift.Filled() {
		object := objects["ConfigMap/"+name]
		if object.GetNamespace() != "d8-istio" {
			t.Errorf("ConfigMap %s is rendered in namespace %q", name, object.GetNamespace())
		}
		for field := range object.Object {
			if !slices.Contains([]string{"apiVersion", "kind", "metadata"}, field) {
				t.Errorf("ConfigMap %s is rendered with %s", name, field)
			}
		}
	}
}

func TestARepairChangesTheManifests(t *testing.T) {
	const annotation = "istio.deckhouse.io/repair"
	m := load(t)
	if shown, ok := m.render(t, "{}", nil)["Namespace/d8-istio"].GetAnnotations()[annotation]; ok {
		t.Errorf("without any, the namespace shows %q", shown)
	}
	const repair = "2026-11-22T12:00:10Z 3fa9c1d2"
	objects := m.render(t, "{}", func(values Values) { values.Set(repair, "istio", "internal", "repair") })
	if shown := objects["Namespace/d8-istio"].GetAnnotations()[annotation]; shown != repair {
		t.Errorf("the namespace shows %q, want %q", shown, repair)
	}
}
