package rendertest

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// werfFiles is what werf's templates call .Files.
type werfFiles struct{ root string }

func (f werfFiles) Get(name string) (string, error) {
	content, err := os.ReadFile(filepath.Join(f.root, name))
	return string(content), err
}

func (f werfFiles) Glob(pattern string) (map[string]any, error) {
	paths, err := filepath.Glob(filepath.Join(f.root, pattern))
	found := map[string]any{}
	for _, path := range paths {
		content, readErr := os.ReadFile(path)
		if readErr != nil {
			return nil, readErr
		}
		name, _ := filepath.Rel(f.root, path)
		found[name] = string(content)
	}
	return found, err
}

// werfImage is the part of an image's description that refers to something else.
type werfImage struct {
	Image   string `json:"image"`
	From    string `json:"from"`
	Project string `json:"project"`
	Build   struct {
		Platform []string `json:"platform"`
	} `json:"build"`
	Git []struct {
		IncludePaths []string `json:"includePaths"`
	} `json:"git"`
	Import       []struct{ Image, Add, To string } `json:"import"`
	Dependencies []struct {
		Image   string `json:"image"`
		Imports []struct{ Type, TargetEnv string }
	} `json:"dependencies"`
	Shell map[string][]string `json:"shell"`
}

// renderWerf evaluates werf.yaml with the functions of werf that it uses.
func renderWerf(t *testing.T, root string) map[string]werfImage {
	t.Helper()
	functions := sprig.TxtFuncMap()
	functions["env"] = func(_, fallback string) string { return fallback }
	functions["fromYaml"] = func(text string) (map[string]any, error) {
		parsed := map[string]any{}
		return parsed, yaml.Unmarshal([]byte(text), &parsed)
	}
	functions["tpl"] = func(text string, data any) (string, error) {
		parsed, err := template.New("tpl").Funcs(functions).Option("missingkey=error").Parse(text)
		if err != nil {
			return "", err
		}
		var out bytes.Buffer
		err = parsed.Execute(&out, data)
		return out.String(), err
	}
	files := werfFiles{root}
	text, err := files.Get("werf.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := functions["tpl"].(func(string, any) (string, error))(text, map[string]any{"Files": files})
	if err != nil {
		t.Fatal(err)
	}
	images := map[string]werfImage{}
	for i, document := range regexp.MustCompile(`(?m)^---$`).Split(rendered, -1) {
		var image werfImage
		if err := yaml.Unmarshal([]byte(document), &image); err != nil {
			t.Fatalf("document %d is not YAML: %v\n%s", i, err, document)
		}
		if i == 0 {
			if image.Project != "istio" {
				t.Errorf("the first document describes project %q", image.Project)
			}
			if !slices.Equal(image.Build.Platform, []string{"linux/amd64", "linux/arm64"}) {
				t.Errorf("images are built for %v, want both architectures", image.Build.Platform)
			}
			continue
		}
		if _, twice := images[image.Image]; twice || image.Image == "" || image.From == "" {
			t.Errorf("document %d: image %q from %q is unnamed, from nothing, or there twice", i, image.Image, image.From)
		}
		images[image.Image] = image
	}
	return images
}

func TestWerfImagesReferToEachOther(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	images := renderWerf(t, root)
	for _, name := range []string{"bundle", "release-channel-version", "metadata-exporter", "go-hooks", "images-digests"} {
		if _, ok := images[name]; !ok {
			t.Errorf("there is no image %s", name)
		}
	}
	goPackage := regexp.MustCompile(` (\./\S+)`)
	for name, image := range images {
		for _, imported := range image.Import {
			if _, ok := images[imported.Image]; !ok {
				t.Errorf("image %s takes %s from image %s, which is not described", name, imported.Add, imported.Image)
			}
		}
		for _, dependency := range image.Dependencies {
			if _, ok := images[dependency.Image]; !ok {
				t.Errorf("image %s depends on image %s, which is not described", name, dependency.Image)
			}
		}
		for _, command := range slices.Concat(image.Shell["install"], image.Shell["setup"]) {
			if strings.Contains(command, "GOARCH=") {
				t.Errorf("image %s is built for one architecture only: %s", name, command)
			}
			if strings.Contains(command, "go build") && !strings.Contains(command, ` -trimpath -ldflags "-s -w" `) {
				t.Errorf("image %s is built with other flags than `make build` uses: %s", name, command)
			}
			for _, match := range goPackage.FindAllStringSubmatch(command, -1) {
				source := strings.TrimPrefix(match[1], "./")
				if _, err := os.Stat(filepath.Join(root, source)); err != nil {
					t.Errorf("image %s builds %s: %v", name, match[1], err)
				}
				if !slices.ContainsFunc(image.Git[0].IncludePaths, func(p string) bool { return strings.HasPrefix(source, p) }) {
					t.Errorf("image %s builds %s, but copies only %v", name, match[1], image.Git[0].IncludePaths)
				}
			}
		}
	}
}

// TestImagesOfThePodsAreBuilt compares the names in images_digests.json with those that the templates ask for.
func TestImagesOfThePodsAreBuilt(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	var built []string
	for _, dependency := range renderWerf(t, root)["images-digests"].Dependencies {
		built = append(built, strings.TrimPrefix(dependency.Imports[0].TargetEnv, "MODULE_IMAGE_DIGEST_"))
	}
	global, err := parseYAML(globalValues)
	if err != nil {
		t.Fatal(err)
	}
	digests := global["modulesImages"].(map[string]any)["digests"].(map[string]any)["istio"].(map[string]any)
	for name := range digests {
		if !slices.Contains(built, name) {
			t.Errorf("the templates need image %s; built are %v", name, built)
		}
	}
	for _, name := range built {
		if _, needed := digests[name]; !needed {
			t.Errorf("image %s is built, but no template needs it", name)
		}
	}
}

// TestImagesHoldAllTheirPrograms: the lab's images (tools/images) hold each program of the folder cmd, too.
func TestImagesHoldAllTheirPrograms(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob(filepath.Join(root, "images", "*", "cmd", "*"))
	if err != nil || len(folders) < 3 {
		t.Fatalf("only %v are found: %v", folders, err)
	}
	images := renderWerf(t, root)
	for _, folder := range folders {
		program, name := filepath.Base(folder), filepath.Base(filepath.Dir(filepath.Dir(folder)))
		if !slices.ContainsFunc(images[name].Import, func(i struct{ Image, Add, To string }) bool {
			return i.Add == "/"+program && i.To == "/usr/local/bin/"+program
		}) {
			t.Errorf("image %s lacks /usr/local/bin/%s", name, program)
		}
	}
}

// TestImagesOfIstioHaveThePatchInTheTable: a patch changes the table and nothing else.
func TestImagesOfIstioHaveThePatchInTheTable(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	images := renderWerf(t, root)
	for _, version := range istioversion.All() {
		for _, program := range []string{"pilot", "proxyv2"} {
			want := "docker.io/istio/" + program + ":" + version.Full() + "-distroless"
			if got := images[program+"-"+version.Revision()].From; got != want {
				t.Errorf("image %s-%s is made from %q, want %s", program, version.Revision(), got, want)
			}
		}
	}
}

// TestBundleHoldsWhatTheModuleReads: what is missing in the bundle is missing in Deckhouse.
func TestBundleHoldsWhatTheModuleReads(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	bundle := renderWerf(t, root)["bundle"]
	holds := slices.Clone(bundle.Git[0].IncludePaths)
	for _, imported := range bundle.Import {
		holds = append(holds, strings.TrimPrefix(imported.To, "/"))
	}
	for _, wanted := range []string{
		".helmignore", "Chart.yaml", "charts", "crds", "crds/istio", "files", "hooks/istio-hooks", "images_digests.json",
		"docs", "module.yaml", "openapi", "oss.yaml", "templates",
	} {
		if !slices.Contains(holds, wanted) {
			t.Errorf("the bundle lacks %s", wanted)
		}
	}
}
