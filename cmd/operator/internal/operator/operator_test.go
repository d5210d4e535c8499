package operator

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/version"
	discoveryfake "k8s.io/client-go/discovery/fake"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/cmd/operator/internal/options"
)

func TestNamespaceIsCreatedOnce(t *testing.T) {
	g := NewWithT(t)
	client := fake.NewClientset()
	for range 2 {
		g.Expect(ensureNamespaces(context.Background(), client, "d8-system")).To(Succeed())
	}
	namespaces, err := client.CoreV1().Namespaces().List(context.Background(), metav1.ListOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(namespaces.Items).To(HaveLen(1))
}

func TestTheNamespaceOfIdentitiesExistsBesidesTheOperatorsOwn(t *testing.T) {
	for own, want := range map[string]int{"mesh": 2, "d8-system": 1} {
		g := NewWithT(t)
		client := fake.NewClientset()
		g.Expect(ensureNamespaces(context.Background(), client, own)).To(Succeed())
		namespaces, err := client.CoreV1().Namespaces().List(context.Background(), metav1.ListOptions{})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(namespaces.Items).To(HaveLen(want))
		for _, name := range []string{own, "d8-system"} {
			_, err := client.CoreV1().Namespaces().Get(context.Background(), name, metav1.GetOptions{})
			g.Expect(err).NotTo(HaveOccurred())
		}
	}
}

func TestOperatorWaitsForTheAPIServer(t *testing.T) {
	logger := slog.New(slog.NewTextHandler(io.Discard, nil))
	failing := func(times int) *fake.Clientset {
		client := fake.NewClientset()
		client.Discovery().(*discoveryfake.FakeDiscovery).FakedServerVersion = &version.Info{GitVersion: "v1.34.3"}
		client.PrependReactor("get", "version", func(k8stesting.Action) (bool, runtime.Object, error) {
			times--
			return times >= 0, nil, errors.New("connection refused")
		})
		return client
	}
	t.Run("until it answers", func(t *testing.T) {
		g := NewWithT(t)
		client := failing(2)
		g.Expect(waitForAPI(context.Background(), client, logger)).To(Succeed())
		g.Expect(client.Actions()).To(HaveLen(3))
	})
	t.Run("or until its context ends", func(t *testing.T) {
		g := NewWithT(t)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		err := waitForAPI(ctx, failing(1000), logger)
		g.Expect(err).To(MatchError(context.Canceled))
		g.Expect(ignoreStop(ctx, err)).To(Succeed())
	})
}

func TestErrorsThatAreNotTheStopRemain(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(context.Background())
	broken := errors.New("broken")
	g.Expect(ignoreStop(ctx, context.Canceled)).To(MatchError(context.Canceled), "nobody asked to stop")
	cancel()
	g.Expect(ignoreStop(ctx, broken)).To(MatchError(broken))
	g.Expect(ignoreStop(ctx, nil)).To(Succeed())
}

func TestRestConfigSaysWhatToDoWithoutAKubeconfig(t *testing.T) {
	g := NewWithT(t)
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	_, err := restConfig(options.Options{})
	g.Expect(err).To(MatchError(ContainSubstring("give a --kubeconfig")))
}

func TestDebugSocketFitsIntoASocketAddress(t *testing.T) {
	for name, dir := range map[string]string{
		"in the temporary folder":                 t.TempDir(),
		"elsewhere when that has too long a path": filepath.Join(t.TempDir(), strings.Repeat("x", 120)),
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			g.Expect(os.MkdirAll(dir, 0o700)).To(Succeed())
			path, remove, err := debugSocket(dir)
			g.Expect(err).NotTo(HaveOccurred())
			listener, err := net.Listen("unix", path)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(listener.Close()).To(Succeed())
			remove()
			if filepath.Dir(path) != dir {
				g.Expect(filepath.Dir(path)).NotTo(BeADirectory())
			}
		})
	}
}

func TestTemporaryFolder(t *testing.T) {
	g := NewWithT(t)
	made, remove, err := makeTempDir("")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(made).To(BeADirectory())
	remove()
	g.Expect(made).NotTo(BeADirectory(), "what the operator made, it removes")

	given := filepath.Join(t.TempDir(), "a", "b")
	made, remove, err = makeTempDir(given)
	g.Expect(err).NotTo(HaveOccurred())
	remove()
	g.Expect(made).To(Equal(given))
	g.Expect(given).To(BeADirectory(), "what a person gave stays")
}

func TestOnlyTheSchemasAreCopied(t *testing.T) {
	g := NewWithT(t)
	source, temp := t.TempDir(), t.TempDir()
	g.Expect(os.Mkdir(filepath.Join(source, "openapi"), 0o700)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(source, "hook.go"), nil, 0o600)).To(Succeed())
	for _, content := range []string{"first", "second"} {
		g.Expect(os.WriteFile(filepath.Join(source, "openapi", "values.yaml"), []byte(content), 0o600)).To(Succeed())
		dir, err := schemasOnly(source, temp)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(os.ReadFile(filepath.Join(dir, "openapi", "values.yaml"))).To(BeEquivalentTo(content))
		g.Expect(filepath.Join(dir, "hook.go")).NotTo(BeAnExistingFile())
	}
}
