//go:build apiserver

package install

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/embedded"
	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/test/support/rendertest"
)

const secondName = "istio-alliance"

// TestTheOperatorBesideTheEmbeddedIstio has addon-operator run
// the bundle of istio-alliance, hooks as processes, beside a module istio that leaves
// the objects and deletes what the one of Deckhouse's platform does (testdata/embedded-istio).
// Then the commands of docs/MIGRATION.md lead from one to the other. There are no
// nodes: what the mesh's Pods would do is not seen.
func TestTheOperatorBesideTheEmbeddedIstio(t *testing.T) {
	s := startBeside(t)
	page := migrationPage(t, s.root)
	s.switchOn(t, names.Embedded)
	s.awaitRelease(t, names.Embedded, true)
	before := s.objectsOfEmbedded(t)
	if len(before) < 7 {
		t.Fatalf("the stand-in has the objects %v only", before)
	}

	t.Run("it does nothing while the embedded one is on, and says so", func(t *testing.T) {
		s.switchOn(t, secondName)
		s.awaitMessage(t, secondName, "Off: "+embedded.Reason(secondName))
		s.awaitRelease(t, secondName, false)
		if after := s.objectsOfEmbedded(t); !maps.Equal(before, after) {
			t.Errorf("objects of the embedded istio were changed or deleted: before %v, after %v", before, after)
		}
		s.switchOff(t, secondName)
	})
	authority := s.secret(t, moduleNamespace, "cacerts")["ca-cert.pem"]
	keys := s.secret(t, moduleNamespace, "d8-remote-authn-keypair")["pub.pem"]

	t.Run("step 1 saves", func(t *testing.T) { s.shell(t, page.section("1. Save")) })
	t.Run("step 2 removes the embedded one", func(t *testing.T) {
		s.shell(t, page.section("2. Switch")+"\nkubectl apply --filename keypair.json")
		if peers := s.peers(t); len(peers) > 0 {
			t.Fatalf("the stand-in is to delete the peers %v, as the embedded istio does", peers)
		}
	})
	t.Run("step 3 installs this one, with the identity and the peers", func(t *testing.T) {
		commands := strings.SplitN(page.section("3. Switch"), "\n", 2)
		s.shell(t, commands[0])
		s.awaitRelease(t, secondName, true)
		s.shell(t, "kubectl apply --filename peers.json")
		same := strings.Fields(s.shell(t, commands[1]))
		if len(same) != 2 || same[0] != same[1] {
			t.Errorf("the commands that compare the CA print %q", same)
		}
		if got := s.secret(t, moduleNamespace, "cacerts")["ca-cert.pem"]; got != authority {
			t.Errorf("the CA is another one:\n%s\nbefore:\n%s", got, authority)
		}
		if got := s.secret(t, moduleNamespace, "d8-remote-authn-keypair")["pub.pem"]; got != keys {
			t.Error("peers know this cluster by other keys than before")
		}
		if peers := s.peers(t); len(peers) != 1 || peers["b"] != "cluster-b.local" {
			t.Errorf("the peers are %v", peers)
		}
		namespace, err := s.clients.Typed.CoreV1().Namespaces().Get(t.Context(), moduleNamespace, metav1.GetOptions{})
		if err != nil || namespace.Labels[names.ModuleLabel] != secondName {
			t.Errorf("the namespace has the labels %v: %v", namespace.Labels, err)
		}
	})
	t.Run("the embedded one is not switched on beside it", func(t *testing.T) {
		// The API server takes a moment to load the policy.
		eventually(t, s.operator, func(ctx context.Context) (bool, string, error) {
			err := s.patchEnabled(ctx, names.Embedded, true)
			if err == nil {
				err = s.patchEnabled(ctx, names.Embedded, false)
				return false, "the ModuleConfig was accepted", err
			}
			return strings.Contains(err.Error(), "the module istio-alliance is on"), err.Error(), nil
		})
	})
	t.Run("it is removed, and its identity stays", func(t *testing.T) {
		s.switchOff(t, secondName)
		s.awaitRelease(t, secondName, false)
		s.awaitNoNamespace(t)
		if got := s.secret(t, "d8-system", "istio-ca")["ca-cert.pem"]; got != authority {
			t.Error("the CA that stays is another one")
		}
		s.switchOn(t, names.Embedded)
		s.awaitRelease(t, names.Embedded, true)
	})
	if t.Failed() {
		t.Logf("the operator's log:\n%s", s.operator.tail())
	}
}

// beside is an API server with the operator, a stand-in of the embedded istio, and the second name.
type beside struct {
	*server
	root, kubeconfig, saved string
	operator                *process
}

func startBeside(t *testing.T) *beside {
	t.Helper()
	root, err := rendertest.Root()
	if err != nil {
		t.Fatal(err)
	}
	s := &beside{server: startServer(t, root), root: root, saved: t.TempDir()}
	s.kubeconfig = s.adminKubeconfig(t)
	s.startNamespaceController(t)
	for _, crd := range []string{"istiofederation.yaml", "istiomulticluster.yaml"} {
		s.kubectl(t, "apply", "--server-side", "--filename", filepath.Join(root, "crds", crd))
	}
	s.kubectl(t, "create", "namespace", "d8-system")
	s.operator = s.startBundled(t, s.layModules(t))
	s.operator.awaitReady(t)
	cluster := testCluster(t, s.clients)
	for _, object := range []map[string]any{cluster.publicTLS(), cluster.globalConfig()} {
		if err := s.clients.ApplyAll(t.Context(), []map[string]any{object}); err != nil {
			t.Fatal(err)
		}
	}
	s.kubectlWith(t, "apiVersion: deckhouse.io/v1alpha1\nkind: IstioFederation\nmetadata: {name: b}\nspec: {trustDomain: cluster-b.local, metadataEndpoint: \"https://127.0.0.1:1/metadata/\"}\n",
		"apply", "--filename", "-")
	return s
}

// layModules puts the stand-in and the bundle where addon-operator looks for modules.
func (s *beside) layModules(t *testing.T) string {
	t.Helper()
	dir, made := t.TempDir(), t.TempDir()
	authority, err := ca.Generate("cluster.local")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := authn.GenerateKeypair()
	if err != nil {
		t.Fatal(err)
	}
	digests, err := json.Marshal(digestsOfAll(t, s.root))
	if err != nil {
		t.Fatal(err)
	}
	values, err := yaml.Marshal(map[string]any{
		"istioEnabled": false, names.KeyOf(secondName) + "Enabled": false,
		"istio": map[string]any{"internal": map[string]any{"ca": authority, "keys": keys}},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(
		os.CopyFS(filepath.Join(dir, "110-istio"), os.DirFS(filepath.Join("testdata", "embedded-istio"))),
		os.Chmod(filepath.Join(dir, "110-istio", "hooks", "purge.sh"), 0o700),
		os.WriteFile(filepath.Join(dir, "values.yaml"), values, 0o600),
		os.WriteFile(filepath.Join(made, "images_digests.json"), digests, 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	lay := exec.CommandContext(t.Context(), "go", "run", "./tools/bundle", "--folders", "--module", secondName, "--images", made, "--out", made)
	lay.Dir = s.root
	if output, err := lay.CombinedOutput(); err != nil {
		t.Fatalf("lay out the bundle: %v\n%s", err, output)
	}
	if err := os.Rename(filepath.Join(made, "module"), filepath.Join(dir, "900-"+secondName)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// startBundled starts the operator without hooks in it. Hooks that are processes
// find the API server as in a Pod, so it gets a file system with a ServiceAccount's access.
func (s *beside) startBundled(t *testing.T, modules string) *process {
	t.Helper()
	dir := t.TempDir()
	port := freePort(t)
	access, err := url.Parse(s.clients.Config.Host)
	if err != nil {
		t.Fatal(err)
	}
	s.kubectl(t, "create", "serviceaccount", "deckhouse", "--namespace", "d8-system")
	s.kubectl(t, "create", "clusterrolebinding", "deckhouse", "--clusterrole=cluster-admin", "--serviceaccount=d8-system:deckhouse")
	account := filepath.Join(dir, "serviceaccount")
	token := s.kubectl(t, "create", "token", "deckhouse", "--namespace", "d8-system", "--duration=2h")
	err = errors.Join(os.MkdirAll(account, 0o700), os.WriteFile(filepath.Join(account, "token"), []byte(token), 0o600),
		os.WriteFile(filepath.Join(account, "ca.crt"), s.clients.Config.CAData, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	const inPod = `mount -t tmpfs none /run && mkdir -p /run/secrets/kubernetes.io && cp -r "$0" /run/secrets/kubernetes.io/ && exec "$@"`
	return launch(t, dir, port, exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "-c", inPod, account,
		filepath.Join(s.root, "bin", secondName, "operator-bundled"), "start", "--kubeconfig", s.kubeconfig, "--modules-dir", modules,
		"--images-digests", filepath.Join(modules, "900-"+secondName, "images_digests.json"),
		"--global-hooks-dir", filepath.Join(s.root, "global-hooks"), "--crds-dir", filepath.Join(s.root, "crds", "operator"),
		"--listen-address", "127.0.0.1", "--listen-port", strconv.Itoa(port)),
		"KUBECONFIG="+s.kubeconfig, "PATH="+s.path(), "KUBERNETES_SERVICE_HOST="+access.Hostname(), "KUBERNETES_SERVICE_PORT="+access.Port())
}

// startNamespaceController starts the part of Kubernetes that deletes what is in a namespace.
func (s *beside) startNamespaceController(t *testing.T) {
	t.Helper()
	controller := exec.CommandContext(t.Context(), filepath.Join(s.root, ".cache", "tools", "kube", "kube-controller-manager"),
		"--kubeconfig", s.kubeconfig, "--controllers=namespace-controller", "--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(freePort(t)), "--cert-dir", t.TempDir())
	if err := controller.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = controller.Process.Kill()
		_ = controller.Wait()
	})
}

func (s *beside) adminKubeconfig(t *testing.T) string {
	t.Helper()
	access := s.clients.Config
	return writeKubeconfig(t, access, &clientcmdapi.AuthInfo{ClientCertificateData: access.CertData, ClientKeyData: access.KeyData})
}

func (s *beside) path() string {
	return filepath.Join(s.root, ".cache", "tools", "kube") + string(os.PathListSeparator) + os.Getenv("PATH")
}

// shell runs commands of the page one after the other, in the folder where they save.
func (s *beside) shell(t *testing.T, commands string) (output string) {
	t.Helper()
	return s.run(t, "", exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", commands))
}

func (s *beside) kubectl(t *testing.T, args ...string) (output string) {
	t.Helper()
	return s.kubectlWith(t, "", args...)
}

func (s *beside) kubectlWith(t *testing.T, input string, args ...string) (output string) {
	t.Helper()
	return s.run(t, input, exec.CommandContext(t.Context(), filepath.Join(s.root, ".cache", "tools", "kube", "kubectl"), args...))
}

func (s *beside) run(t *testing.T, input string, command *exec.Cmd) (output string) {
	t.Helper()
	command.Dir = s.saved
	command.Stdin = strings.NewReader(input)
	command.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig, "PATH="+s.path())
	out, err := command.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		if s.operator != nil {
			err = fmt.Errorf("%w\n%s", err, s.operator.tail())
		}
		t.Fatalf("%s: %v", command, err)
	}
	return string(out)
}

func (s *beside) switchOn(t *testing.T, module string) {
	t.Helper()
	config := moduleConfig(module, map[string]any{"enabled": true, "version": moduleSettingsVersion, "settings": map[string]any{}})
	if module == names.Embedded { // the stand-in knows no newer version
		config = moduleConfig(module, map[string]any{"enabled": true, "version": 1, "settings": map[string]any{"globalVersion": "1.25", "tlsMode": "Mutual", "federation": map[string]any{"enabled": true}}})
	}
	if err := s.clients.Apply(t.Context(), kube.ModuleConfigs, config); err != nil {
		t.Fatal(err)
	}
}

func (s *beside) switchOff(t *testing.T, module string) {
	t.Helper()
	if err := s.patchEnabled(t.Context(), module, false); err != nil {
		t.Fatal(err)
	}
}

func (s *beside) patchEnabled(ctx context.Context, module string, enabled bool) error {
	patch := fmt.Sprintf(`{"spec":{"enabled":%t}}`, enabled)
	_, err := s.clients.Dynamic.Resource(kube.ModuleConfigs).Patch(ctx, module, "application/merge-patch+json", []byte(patch), metav1.PatchOptions{})
	return err
}

func (s *beside) awaitRelease(t *testing.T, module string, wanted bool) {
	t.Helper()
	eventually(t, s.operator, func(ctx context.Context) (bool, string, error) {
		found, err := releases(ctx, s.clients.Typed, module)
		return len(found) > 0 == wanted, fmt.Sprintf("releases of %s: %v", module, found), err
	})
}

func (s *beside) awaitMessage(t *testing.T, module, wanted string) {
	t.Helper()
	eventually(t, s.operator, func(ctx context.Context) (bool, string, error) {
		config, err := s.clients.Dynamic.Resource(kube.ModuleConfigs).Get(ctx, module, metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		status, _ := config.Object["status"].(map[string]any)
		message, _ := status["message"].(string)
		return message == wanted, message, nil
	})
}

func (s *beside) awaitNoNamespace(t *testing.T) {
	t.Helper()
	eventually(t, s.operator, func(ctx context.Context) (bool, string, error) {
		_, err := s.clients.Typed.CoreV1().Namespaces().Get(ctx, moduleNamespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, "", nil
		}
		return false, "the namespace is there", err
	})
}

func (s *beside) secret(t *testing.T, namespace, name string) map[string]string {
	t.Helper()
	found, err := s.clients.Typed.CoreV1().Secrets(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]string{}
	for key, value := range found.Data {
		data[key] = string(value)
	}
	return data
}

func (s *beside) federations(t *testing.T) []unstructured.Unstructured {
	t.Helper()
	federations := schema.GroupVersionResource{Group: v1alpha1.Group, Version: v1alpha1.Version, Resource: v1alpha1.IstioFederationResource}
	list, err := s.clients.Dynamic.Resource(federations).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// peers are the trust domains of IstioFederations by name.
func (s *beside) peers(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, item := range s.federations(t) {
		spec, _ := item.Object["spec"].(map[string]any)
		found[item.GetName()], _ = spec["trustDomain"].(string)
	}
	return found
}

// objectsOfEmbedded are the versions of what has the embedded istio's label, by kind and name, and of the peers that it acts on.
func (s *beside) objectsOfEmbedded(t *testing.T) map[string]string {
	t.Helper()
	labelled := s.kubectl(t, "get", "namespaces,secrets,configmaps,services,serviceaccounts,deployments,clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations",
		"--all-namespaces", "--selector", "heritage=deckhouse,module=istio", "--output", "json")
	var list struct {
		Items []struct {
			Kind     string
			Metadata metav1.ObjectMeta
		}
	}
	if err := json.Unmarshal([]byte(labelled), &list); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, item := range list.Items {
		// The operator's own Secret is none of the module.
		if item.Metadata.Name != "module-config-last-good" {
			found[item.Kind+"/"+item.Metadata.Name] = item.Metadata.ResourceVersion
		}
	}
	for _, peer := range s.federations(t) {
		found[peer.GetKind()+"/"+peer.GetName()] = peer.GetResourceVersion()
	}
	return found
}

// migration is docs/MIGRATION.md.
type migration struct {
	t       *testing.T
	content string
}

func migrationPage(t *testing.T, root string) migration {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "docs", "MIGRATION.md"))
	if err != nil {
		t.Fatal(err)
	}
	return migration{t, string(content)}
}

var (
	fenced  = regexp.MustCompile("(?ms)^```console\n(.*?)^```$")
	command = regexp.MustCompile(`(?m)^\$ (.*)$`)
)

// section returns the commands of the section whose title begins like that, in the order of the page.
func (m migration) section(title string) string {
	m.t.Helper()
	_, rest, found := strings.Cut(m.content, "\n### "+title)
	if !found {
		m.t.Fatalf("docs/MIGRATION.md has no section %q", title)
	}
	if end := regexp.MustCompile(`(?m)^##`).FindStringIndex(rest); end != nil {
		rest = rest[:end[0]]
	}
	var commands []string
	for _, block := range fenced.FindAllStringSubmatch(rest, -1) {
		for _, line := range command.FindAllStringSubmatch(block[1], -1) {
			commands = append(commands, line[1])
		}
	}
	if len(commands) == 0 {
		m.t.Fatalf("section %q of docs/MIGRATION.md has no commands", title)
	}
	return strings.Join(commands, "\n")
}
