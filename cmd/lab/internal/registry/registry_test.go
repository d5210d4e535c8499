package registry_test

import (
	"archive/tar"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/registry"
)

// images writes an OCI layout with a random image for each reference.
func images(t *testing.T, references ...string) (string, map[string]v1.Image) {
	t.Helper()
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]v1.Image{}
	for _, reference := range references {
		image, err := random.Image(4096, 2)
		if err != nil {
			t.Fatal(err)
		}
		made[reference] = image
		if err := path.AppendImage(image, layout.WithAnnotations(map[string]string{registry.ReferenceAnnotation: reference})); err != nil {
			t.Fatal(err)
		}
	}
	return dir, made
}

// serve returns host:port of a registry of the layouts.
func serve(t *testing.T, layouts ...string) string {
	t.Helper()
	handler, err := registry.New(layouts...)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func digestOf(t *testing.T, image v1.Image) string {
	t.Helper()
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

// pull fetches everything of the image and checks each digest and size.
func pull(reference string) (v1.Image, error) {
	parsed, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		return nil, err
	}
	image, err := remote.Image(parsed)
	if err != nil {
		return nil, err
	}
	return image, validate.Image(image)
}

func TestWholeImagesArePulled(t *testing.T) {
	const pause = "registry.k8s.io/pause:3.10"
	dir, made := images(t, pause, "lab.local/echo:1")
	host := serve(t, dir)
	for name, reference := range map[string]string{
		"by the full reference as the path":    host + "/" + pause,
		"by digest from their own repository":  host + "/registry.k8s.io/pause@" + digestOf(t, made[pause]),
		"by digest from any other repository":  host + "/ghcr.io/deckhouse-mesh/istio@" + digestOf(t, made[pause]),
		"by digest from a repository of depth": host + "/a/b/c/d@" + digestOf(t, made[pause]),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			image, err := pull(reference)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(digestOf(t, image)).To(Equal(digestOf(t, made[pause])))
		})
	}
}

func request(t *testing.T, method, url string, header http.Header) (*http.Response, string) {
	t.Helper()
	asked, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	asked.Header = header
	response, err := http.DefaultClient.Do(asked)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestTagsAreFoundAsContainerdAsksItsMirrors(t *testing.T) {
	const traefik = "docker.io/library/traefik:v3.7.13"
	dir, made := images(t, traefik)
	host := serve(t, dir)
	for name, c := range map[string]struct {
		path string
		want int
	}{
		"with the host in ns":       {"/v2/library/traefik/manifests/v3.7.13?ns=docker.io", http.StatusOK},
		"not with another host":     {"/v2/library/traefik/manifests/v3.7.13?ns=quay.io", http.StatusNotFound},
		"not with another tag":      {"/v2/library/traefik/manifests/v3?ns=docker.io", http.StatusNotFound},
		"not with a part of a name": {"/v2/traefik/manifests/v3.7.13?ns=docker.io", http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			response, body := request(t, http.MethodHead, "http://"+host+c.path, nil)
			g.Expect(response.StatusCode).To(Equal(c.want), body)
			if c.want == http.StatusOK {
				g.Expect(response.Header.Get("Docker-Content-Digest")).To(Equal(digestOf(t, made[traefik])))
				g.Expect(response.ContentLength).To(BeNumerically(">", 0))
			}
		})
	}
}

func TestPartsOfABlobAreServed(t *testing.T) {
	g := NewWithT(t)
	dir, made := images(t, "lab.local/echo:1")
	host := serve(t, dir)
	layers, err := made["lab.local/echo:1"].Layers()
	g.Expect(err).NotTo(HaveOccurred())
	digest, err := layers[0].Digest()
	g.Expect(err).NotTo(HaveOccurred())
	url := "http://" + host + "/v2/any/blobs/" + digest.String()
	_, whole := request(t, http.MethodGet, url, nil)
	response, part := request(t, http.MethodGet, url, http.Header{"Range": {"bytes=10-19"}})
	g.Expect(response.StatusCode).To(Equal(http.StatusPartialContent))
	g.Expect(part).To(Equal(whole[10:20]))
}

func TestRequestsForMissingContentGetTheErrorOfTheSpecification(t *testing.T) {
	dir, made := images(t, "lab.local/echo:1")
	host := serve(t, dir)
	config, err := made["lab.local/echo:1"].ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	absent := "sha256:" + strings.Repeat("0", 64)
	for name, c := range map[string]struct {
		method, path string
		want         int
		code         string
	}{
		"an unknown tag":                   {http.MethodGet, "/v2/x/manifests/1", http.StatusNotFound, "MANIFEST_UNKNOWN"},
		"an unknown digest":                {http.MethodGet, "/v2/x/manifests/" + absent, http.StatusNotFound, "MANIFEST_UNKNOWN"},
		"an unknown blob":                  {http.MethodGet, "/v2/x/blobs/" + absent, http.StatusNotFound, "BLOB_UNKNOWN"},
		"a digest that is a path":          {http.MethodGet, "/v2/x/blobs/sha256:..%2f..%2findex.json", http.StatusNotFound, "UNSUPPORTED"},
		"an invalid digest":                {http.MethodGet, "/v2/x/blobs/sha256:index.json", http.StatusBadRequest, "DIGEST_INVALID"},
		"a blob that is not a manifest":    {http.MethodGet, "/v2/x/manifests/" + config.String(), http.StatusInternalServerError, "MANIFEST_UNKNOWN"},
		"an upload, which nothing accepts": {http.MethodPost, "/v2/x/blobs/uploads/", http.StatusMethodNotAllowed, "UNSUPPORTED"},
		"a list of tags":                   {http.MethodGet, "/v2/x/tags/list", http.StatusNotFound, "UNSUPPORTED"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			response, body := request(t, c.method, "http://"+host+c.path, nil)
			g.Expect(response.StatusCode).To(Equal(c.want), body)
			g.Expect(body).To(ContainSubstring(`"code":"` + c.code + `"`))
		})
	}
}

func TestEarlierFoldersComeFirst(t *testing.T) {
	g := NewWithT(t)
	own, ofPerson := images(t, "lab.local/echo:1")
	built, _ := images(t, "lab.local/echo:1", "registry.k8s.io/pause:3.10")
	host := serve(t, own, built)
	image, err := pull(host + "/lab.local/echo:1")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(digestOf(t, image)).To(Equal(digestOf(t, ofPerson["lab.local/echo:1"])))
	_, err = pull(host + "/registry.k8s.io/pause:3.10")
	g.Expect(err).NotTo(HaveOccurred())
}

func TestARegistryWithoutAnyImageSaysWhatToDo(t *testing.T) {
	g := NewWithT(t)
	_, err := registry.New(filepath.Join(t.TempDir(), "none"))
	g.Expect(err).To(MatchError(ContainSubstring("make images")))
}

// saved writes an image as `docker save` does, and as an OCI layout.
func saved(t *testing.T) (image v1.Image, dockerTar, ociDir string) {
	t.Helper()
	image, err := random.Image(2048, 1)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	dockerTar, ociDir = filepath.Join(dir, "docker.tar"), filepath.Join(dir, "oci")
	tag, err := name.NewTag("me/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := tarball.WriteToFile(dockerTar, tag, image); err != nil {
		t.Fatal(err)
	}
	platform := v1.Platform{OS: "linux", Architecture: "amd64"}
	other := v1.Platform{OS: "linux", Architecture: "arm64"}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}},
		mutate.IndexAddendum{Add: empty.Image, Descriptor: v1.Descriptor{Platform: &other}})
	if _, err := layout.Write(ociDir, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: index})); err != nil {
		t.Fatal(err)
	}
	return image, dockerTar, ociDir
}

func TestImagesOfAPersonAreServedWhileTheLabRuns(t *testing.T) {
	image, dockerTar, ociDir := saved(t)
	for name, file := range map[string]string{
		"from docker save":                         dockerTar,
		"from an OCI layout for several platforms": ociDir,
		"from that as a tarball":                   tarOf(t, ociDir),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			built, _ := images(t, "registry.k8s.io/pause:3.10")
			own := filepath.Join(t.TempDir(), "images")
			host := serve(t, own, built)
			for range 2 { // the second time in place of the first
				reference, _, err := registry.Load(own, "me/app:1", file)
				g.Expect(err).NotTo(HaveOccurred())
				g.Expect(reference).To(Equal("docker.io/me/app:1"))
			}
			pulled, err := pull(host + "/docker.io/me/app:1")
			g.Expect(err).NotTo(HaveOccurred())
			config, err := image.ConfigName()
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(pulled.ConfigName()).To(Equal(config))
			index, err := os.ReadFile(filepath.Join(own, "index.json"))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(strings.Count(string(index), `"digest"`)).To(Equal(1))
		})
	}
}

func tarOf(t *testing.T, dir string) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "oci.tar"))
	if err != nil {
		t.Fatal(err)
	}
	writer := tar.NewWriter(file)
	if err := writer.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Name()
}

func TestFilesWithoutAnImageAreRejected(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("no image ", 200)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, dockerTar, _ := saved(t)
	for name, c := range map[string]struct{ reference, file, want string }{
		"a file that is absent":     {"app:1", filepath.Join(t.TempDir(), "none"), "no such file"},
		"a file of something else":  {"app:1", text, "no tarball"},
		"an empty folder":           {"app:1", t.TempDir(), "no image"},
		"a digest as the reference": {"app@sha256:" + strings.Repeat("0", 64), dockerTar, "reference with a tag"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, _, err := registry.Load(filepath.Join(t.TempDir(), "images"), c.reference, c.file)
			g.Expect(err).To(MatchError(ContainSubstring(c.want)))
		})
	}
}

func TestTheEnvironmentOfAnImageIsReadFromItsLayout(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	g.Expect(err).NotTo(HaveOccurred())
	image, err := mutate.Config(empty.Image, v1.Config{Env: []string{"A=1"}})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(path.AppendImage(image, layout.WithAnnotations(map[string]string{registry.ReferenceAnnotation: "lab.local/x:1"}))).To(Succeed())

	g.Expect(registry.Environment(dir, "lab.local/x:1")).To(Equal([]string{"A=1"}))
	_, err = registry.Environment(dir, "lab.local/y:1")
	g.Expect(err).To(MatchError(ContainSubstring("no image lab.local/y:1")))
}
