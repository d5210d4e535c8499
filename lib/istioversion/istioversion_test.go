package istioversion

import (
	"os"
	"path/filepath"
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
	v := Version{Version: "1.29", Patch: 1}
	if v.Full() != "1.29.1" || v.Revision() != "v1x29" || v.ImageSuffix() != "V1x29x1" {
		t.Errorf("%s, %s, %s", v.Full(), v.Revision(), v.ImageSuffix())
	}
}

func TestAnUnknownVersionIsRefusedWithTheOnesThereAre(t *testing.T) {
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
	for _, v := range All() {
		goMod := read(t, filepath.Join(root, "tools", "istio-"+v.Revision(), "go.mod"))
		if !strings.Contains(goMod, "istio.io/istio "+v.Module+"\n") {
			t.Errorf("tools/istio-%s/go.mod does not require istio.io/istio %s", v.Revision(), v.Module)
		}
		for _, image := range []string{"pilot", "proxyv2", "cni", "ztunnel"} {
			folder := image + "-v" + strings.ReplaceAll(v.Full(), ".", "x")
			if _, err := os.Stat(filepath.Join(root, "images", folder, "werf.inc.yaml")); err != nil {
				t.Errorf("image of Istio %s: %v", v.Full(), err)
			}
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
