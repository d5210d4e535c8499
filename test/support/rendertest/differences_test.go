package rendertest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/yaml"
)

// difference is an entry of testdata/istiod-differences.yaml.
type difference struct {
	Category string `json:"category"`
	// Versions narrows the entry to these revisions; all when empty.
	Versions []string `json:"versions"`
	// Upstream are facts that only Istio's own chart has, Ours those that only the module has. A * at the end stands for anything.
	Upstream []string `json:"upstream"`
	Ours     []string `json:"ours"`
	Reason   string   `json:"reason"`
}

// TestControlPlaneIsIstiosOwn compares what the module renders with Istio's own
// chart of the same version: each difference is listed with a reason, in both
// directions, and what is listed is there.
func TestControlPlaneIsIstiosOwn(t *testing.T) {
	differences := readDifferences(t)
	used := map[string]bool{}
	m := load(t)
	for _, revision := range revisions {
		t.Run(revision, func(t *testing.T) {
			objects := m.render(t, "{}", func(v Values) { v.Set(revision, "istio", "internal", "defaultRevision") })
			ours := factsOf(t, revision, slices.Collect(maps.Values(ofRevision(objects, revision))))
			image := m.proxyImage(t, objects, revision)
			upstream := factsOf(t, revision, renderUpstream(t, revision, image))
			categories := sets.KeySet(upstream.lines).Union(sets.KeySet(ours.lines))
			for _, category := range sets.List(categories) {
				for _, line := range slices.Sorted(maps.Keys(missing(upstream, ours, category))) {
					if !listed(differences, used, revision, category, line, func(d difference) []string { return d.Upstream }) {
						t.Errorf("%s: only upstream has: %s", category, line)
					}
				}
				for _, line := range slices.Sorted(maps.Keys(missing(ours, upstream, category))) {
					if !listed(differences, used, revision, category, line, func(d difference) []string { return d.Ours }) {
						t.Errorf("%s: only ours has: %s", category, line)
					}
				}
			}
		})
	}
	if t.Failed() {
		return // what could not be compared was not used either
	}
	for _, d := range differences {
		for _, fact := range slices.Concat(d.Upstream, d.Ours) {
			if !used[d.Category+": "+fact] {
				t.Errorf("testdata/istiod-differences.yaml lists what is no difference (any more): %s: %s", d.Category, fact)
			}
		}
	}
}

func readDifferences(t *testing.T) []difference {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "istiod-differences.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var differences []difference
	if err := yaml.UnmarshalStrict(content, &differences); err != nil {
		t.Fatal(err)
	}
	for i, d := range differences {
		if len(strings.Fields(d.Reason)) < 4 || d.Category == "" {
			t.Errorf("testdata/istiod-differences.yaml: entry %d has no category or no reason", i)
		}
	}
	return differences
}

// ofRevision leaves out the objects of other revisions and of the whole module.
func ofRevision(objects Objects, revision string) Objects {
	found := Objects{}
	for key, object := range objects {
		if object.GetLabels()["istio.io/rev"] == revision {
			found[key] = object
		}
	}
	return found
}

// missing are the lines of one that the other lacks.
func missing(one, other facts, category string) map[string]struct{} {
	found := map[string]struct{}{}
	for line := range one.lines[category] {
		if other.lines[category].Has(line) || category == "right" && implied(other.lines[category], line) {
			continue
		}
		found[line] = struct{}{}
	}
	return found
}

// implied tells whether a right follows from broader ones: in the whole cluster, on all resources of the group, or with every verb.
func implied(rights sets.Set[string], line string) bool {
	where, what, _ := strings.Cut(line, ": ")
	verb, resource, _ := strings.Cut(what, " ")
	group, _, _ := strings.Cut(resource, "/")
	for _, place := range []string{where, "cluster"} {
		for _, broader := range []string{verb + " " + resource, verb + " " + group + "/*", "* " + resource} {
			if rights.Has(place + ": " + broader) {
				return true
			}
		}
	}
	return false
}

func listed(differences []difference, used map[string]bool, revision, category, line string, side func(difference) []string) bool {
	found := false
	for _, d := range differences {
		if d.Category != category || len(d.Versions) > 0 && !slices.Contains(d.Versions, revision) {
			continue
		}
		for _, fact := range side(d) {
			prefix, any := strings.CutSuffix(fact, "*")
			if line == fact || any && strings.HasPrefix(line, prefix) {
				used[category+": "+fact] = true
				found = true
			}
		}
	}
	return found
}

// proxyImage is the image that the injector of a revision puts into Pods.
func (m module) proxyImage(t *testing.T, objects Objects, revision string) string {
	t.Helper()
	values := document(t, injectorData(t, objects, revision)["values"])
	image, found, err := unstructured.NestedString(values.(map[string]any), "global", "proxy", "image")
	if err != nil || !found {
		t.Fatalf("injector values of %s have no image: %v", revision, err)
	}
	return image
}

func injectorData(t *testing.T, objects Objects, revision string) map[string]string {
	t.Helper()
	return convert[struct {
		Data map[string]string `json:"data"`
	}](t, objects["ConfigMap/istio-sidecar-injector-"+revision]).Data
}
