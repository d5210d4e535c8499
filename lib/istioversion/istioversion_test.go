package istioversion

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"
)

func TestTheTableIsSound(t *testing.T) {
	previous := version.MajorMinor(99, 0)
	for _, v := range All() {
		this, err := version.ParseGeneric(v.Version)
		if err != nil {
			t.Fatalf("version %q: %v", v.Version, err)
		}
		if !this.LessThan(previous) {
			t.Errorf("%s is not older than the one before it", v.Version)
		}
		previous = this
		if v.Patch < 0 || v.Module.Patch < 0 || v.Module.Version == "" {
			t.Errorf("%s is run as %s, with module %q (%s)", v.Version, v.Full(), v.Module.Version, v.ModuleFull())
		}
		if v.Status != Supported && v.Status != Deprecated {
			t.Errorf("%s has status %q", v.Version, v.Status)
		}
		least, most := version.MustParseGeneric(v.Kubernetes.Min), version.MustParseGeneric(v.Kubernetes.Max)
		if !least.LessThan(most) {
			t.Errorf("%s runs on Kubernetes from %s to %s", v.Version, least, most)
		}
	}
	if Default().Status != Supported {
		t.Errorf("the default, %s, is %s", Default().Version, Default().Status)
	}
}

func TestNamesThatFollowFromAVersion(t *testing.T) {
	v := Version{Version: "1.31", Patch: 3, Module: Module{Patch: 0}}
	if v.Full() != "1.31.3" || v.ModuleFull() != "1.31.0" || v.Revision() != "v1x31" || v.ImageSuffix() != "V1x31" {
		t.Errorf("%s, %s, %s, %s", v.Full(), v.ModuleFull(), v.Revision(), v.ImageSuffix())
	}
}

func TestAnUnknownVersionIsRejectedWithTheKnownOnes(t *testing.T) {
	_, err := Find("1.4")
	if err == nil || !strings.Contains(err.Error(), "1.4") || !strings.Contains(err.Error(), Default().Version) {
		t.Errorf("the error is %v", err)
	}
	if _, ok := FindRevision("v1x4"); ok {
		t.Error("revision v1x4 was found")
	}
	for _, v := range All() {
		if found, ok := FindRevision(v.Revision()); !ok || found != v {
			t.Errorf("revision %s: %v", v.Revision(), found)
		}
	}
}

func TestRunsOn(t *testing.T) {
	v := Version{Version: "1.29", Kubernetes: KubernetesRange{Min: "1.31", Max: "1.35"}}
	for kubernetes, want := range map[string]bool{
		"1.30": false, "1.30.99": false, "1.31": true, "1.31.0": true, "1.34.3": true, "1.35.9": true, "1.36.0": false, "2.1": false,
	} {
		if runs, err := v.RunsOn(kubernetes); err != nil || runs != want {
			t.Errorf("on %s: %v, %v", kubernetes, runs, err)
		}
	}
	if _, err := v.RunsOn("unknown"); err == nil {
		t.Error("a version that cannot be read is no error")
	}
}

// What must repeat the table is held to it.
func TestTheRestOfTheProjectAgrees(t *testing.T) {
	root := filepath.Join("..", "..")
	var settings struct {
		Properties struct {
			GlobalVersion struct {
				Default string   `json:"default"`
				Enum    []string `json:"enum"`
			} `json:"globalVersion"`
		} `json:"properties"`
	}
	schema := read(t, filepath.Join(root, "openapi", "config-values.yaml"))
	if err := yaml.Unmarshal([]byte(schema), &settings); err != nil {
		t.Fatal(err)
	}
	if got := settings.Properties.GlobalVersion.Default; got != "" && got != Default().Version {
		t.Errorf("openapi/config-values.yaml: the default of globalVersion is %s", got)
	}
	var software []struct{ ID, Version string }
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(root, "oss.yaml"))), &software); err != nil {
		t.Fatal(err)
	}
	if istio := software[0]; istio.ID != "istio" || istio.Version != Default().Version {
		t.Errorf("oss.yaml begins with %+v, want Istio %s", istio, Default().Version)
	}
	wanted := map[string]bool{}
	for _, v := range All() {
		goMod := read(t, filepath.Join(root, "tools", "istio-"+v.Revision(), "go.mod"))
		if !strings.Contains(goMod, "istio.io/istio "+v.Module.Version+"\n") {
			t.Errorf("tools/istio-%s/go.mod does not require istio.io/istio %s", v.Revision(), v.Module.Version)
		}
		for _, image := range []string{"pilot", "proxyv2"} {
			wanted[image+"-"+v.Revision()] = true
		}
	}
	for folder := range wanted {
		if _, err := os.Stat(filepath.Join(root, "images", folder, "werf.inc.yaml")); err != nil {
			t.Errorf("image %s: %v", folder, err)
		}
	}
	for pattern, known := range map[string]func(name string) bool{
		"images/*-v*": func(name string) bool { return wanted[name] },
		"tools/istio-v*": func(name string) bool {
			_, ok := FindRevision(strings.TrimPrefix(name, "istio-"))
			return ok
		},
	} {
		folders, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range folders {
			if !known(filepath.Base(folder)) {
				t.Errorf("%s is of a version that the table does not have", folder)
			}
		}
	}
}

func TestTheDocumentedTableIsThisTable(t *testing.T) {
	var documented []string
	for line := range strings.Lines(read(t, filepath.Join("..", "..", "docs", "UPGRADE.md"))) {
		if strings.HasPrefix(line, "| `\"") {
			documented = append(documented, strings.TrimSpace(line))
		}
	}
	if len(documented) != len(All()) {
		t.Fatalf("docs/UPGRADE.md has %d versions, the table %d", len(documented), len(All()))
	}
	for i, v := range All() {
		cells := strings.Split(strings.Trim(documented[i], "| "), " | ")
		want := []string{"`\"" + v.Version + "\"`", "`" + v.Revision() + "`", string(v.Status), v.Kubernetes.Min + "–" + v.Kubernetes.Max, v.EndOfLife.String()}
		if len(cells) != len(want) || !strings.HasPrefix(cells[2], want[2]) {
			t.Errorf("docs/UPGRADE.md has %q, want %q", cells, want)
			continue
		}
		cells[2] = want[2] // a word more about the status is welcome
		if !slices.Equal(cells, want) {
			t.Errorf("docs/UPGRADE.md has %q, want %q", cells, want)
		}
	}
}

// The sources themselves say which minor they are; `make generate` takes what they say.
func TestTheModuleIsOfTheSameMinorAsThePatchThatIsRun(t *testing.T) {
	for _, v := range All() {
		if stated := strings.TrimSpace(read(t, filepath.Join("..", "..", ".cache", "istio", v.Revision(), "VERSION"))); stated != v.Version {
			t.Errorf("Istio %s is run with charts and CRDs of Istio %s", v.Full(), stated)
		}
		if v.Module.Patch > v.Patch {
			t.Errorf("the module is Istio %s, newer than the %s that is run", v.ModuleFull(), v.Full())
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
