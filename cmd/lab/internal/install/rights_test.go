//go:build apiserver

package install

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
	"github.com/deckhouse-mesh/istio/lib/await"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/test/support/rendertest"
)

// TestTheOperatorsRightsSuffice installs the manifests on a real API server, runs
// the operator as its ServiceAccount, and takes the module through its life:
// installed, with webhooks, with peers, switched off. No request may be rejected.
func TestTheOperatorsRightsSuffice(t *testing.T) {
	root, err := rendertest.Root()
	if err != nil {
		t.Fatal(err)
	}
	server := startServer(t, root)
	cluster := testCluster(t, server.clients)
	if err := cluster.installChart(t.Context()); err != nil {
		t.Fatal(err)
	}
	operator := startOperator(t, root, server.operatorKubeconfig(t))
	operator.awaitReady(t)
	for _, object := range []map[string]any{cluster.publicTLS(), cluster.globalConfig(), cluster.moduleConfig()} {
		if err := server.clients.ApplyAll(t.Context(), []map[string]any{object}); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("the release is deployed", func(t *testing.T) {
		eventually(t, operator, func(ctx context.Context) (bool, string, error) {
			releases, err := releases(ctx, server.clients.Typed, "istio")
			return len(releases) > 0, "no release is deployed", err
		})
	})
	t.Run("webhooks follow a ready istiod", func(t *testing.T) {
		pretendReady(t, server.clients.Typed)
		eventually(t, operator, func(ctx context.Context) (bool, string, error) {
			_, err := server.clients.Typed.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, names.DefaultInjector, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return await.NotYet(err)
			}
			return err == nil, "", err
		})
	})
	t.Run("a peer gets its conditions", func(t *testing.T) {
		peer := Peer{Name: "nobody", TrustDomain: "nobody.local", MetadataEndpoint: "https://127.0.0.1:1/metadata/"}
		if err := cluster.AddPeer(t.Context(), Federation, peer); err != nil {
			t.Fatal(err)
		}
		if err := cluster.AddPeer(t.Context(), Multicluster, peer); err != nil {
			t.Fatal(err)
		}
		eventually(t, operator, func(ctx context.Context) (bool, string, error) {
			for _, resource := range []Kind{Federation, Multicluster} {
				_, gvr := resource.resource()
				object, err := server.clients.Dynamic.Resource(gvr).Get(ctx, peer.Name, metav1.GetOptions{})
				if err != nil {
					return false, "", err
				}
				if _, found := kube.Condition(object, "Ready"); !found {
					return false, "no condition", nil
				}
			}
			return true, "", nil
		})
	})
	t.Run("settings that are not valid are said to be so", func(t *testing.T) {
		wrong := moduleConfig("istio", map[string]any{"enabled": true, "version": moduleSettingsVersion, "settings": map[string]any{"nonsense": true}})
		if err := server.clients.Apply(t.Context(), kube.ModuleConfigs, wrong); err != nil {
			t.Fatal(err)
		}
		eventually(t, operator, func(ctx context.Context) (bool, string, error) {
			message, err := cluster.moduleMessage(ctx)
			return strings.HasPrefix(message, rejectedPrefix), message, err
		})
	})
	t.Run("the release goes when the module is switched off", func(t *testing.T) {
		off := moduleConfig("istio", map[string]any{"enabled": false})
		if err := server.clients.Apply(t.Context(), kube.ModuleConfigs, off); err != nil {
			t.Fatal(err)
		}
		eventually(t, operator, func(ctx context.Context) (bool, string, error) {
			releases, err := releases(ctx, server.clients.Typed, "istio")
			return len(releases) == 0, fmt.Sprint(releases), err
		})
		operator.awaitLog(t, "module_disabled")
	})
	operator.stop(t)
	if own, err := releases(t.Context(), server.clients.Typed, "istio-operator"); err != nil || len(own) != 1 {
		t.Errorf("the release that installed the operator is no longer there: %v %v", own, err)
	}

	requests := server.requests(t)
	t.Logf("%d requests of the operator", len(requests))
	for _, request := range requests {
		if request.Response.Code == http.StatusForbidden || request.Response.Code == http.StatusUnauthorized {
			t.Errorf("%s %s: %d %s", request.Verb, request.RequestURI, request.Response.Code, request.Response.Message)
		}
	}
	if t.Failed() {
		t.Logf("the operator's log:\n%s", operator.tail())
	}
}

// TestTheOperatorIsHeldToItsNamespaces tries as the operator what RBAC alone would let it do.
func TestTheOperatorIsHeldToItsNamespaces(t *testing.T) {
	root, err := rendertest.Root()
	if err != nil {
		t.Fatal(err)
	}
	server := startServer(t, root)
	if err := testCluster(t, server.clients).installChart(t.Context()); err != nil {
		t.Fatal(err)
	}
	as := clientsOf(t, server.operatorConfig(t)).Typed
	createNamespace := func(name string) error {
		_, err := as.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		return err
	}
	if err := createNamespace(moduleNamespace); err != nil {
		t.Fatalf("the operator cannot create the module's namespace: %v", err)
	}
	// The API server takes a moment to load the policy.
	err = await.Until(t.Context(), 30*time.Second, func(context.Context) (bool, string, error) {
		err := createNamespace("other")
		return err != nil && strings.Contains(err.Error(), "ValidatingAdmissionPolicy"), fmt.Sprint(err), nil
	})
	if err != nil {
		t.Fatalf("the operator may create any namespace: %v", err)
	}
	secret := func(namespace string) error {
		_, err := as.CoreV1().Secrets(namespace).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}, metav1.CreateOptions{})
		return err
	}
	role := func(name string, rules ...rbacv1.PolicyRule) error {
		_, err := as.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{})
		return err
	}
	read := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}}
	exec := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods/exec"}, Verbs: []string{"create"}}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"writing into the module's namespace":        {secret(moduleNamespace), ""},
		"writing into its own":                       {secret("d8-system"), ""},
		"writing elsewhere":                          {secret("default"), "writes into its own namespaces only"},
		"a role of the module":                       {role("d8:istio:reader", read), ""},
		"a role of somebody else":                    {role("reader", read), "writes roles of the module only"},
		"a role with rights that the operator lacks": {role("d8:istio:exec", exec), "attempting to grant RBAC permissions not currently held"},
	} {
		if test.want == "" && test.err != nil {
			t.Errorf("%s: %v", name, test.err)
		}
		if test.want != "" && (test.err == nil || !strings.Contains(test.err.Error(), test.want)) {
			t.Errorf("%s: got the error %v, want %q", name, test.err, test.want)
		}
	}
}

func testCluster(t *testing.T, clients *kube.Clients) *Cluster {
	t.Helper()
	authority, err := pki.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := authority.Issue(pki.Subject{CommonName: "istio.cluster-a.lab", DNSNames: []string{"istio.cluster-a.lab"}, Server: true})
	if err != nil {
		t.Fatal(err)
	}
	settings, err := Settings([]Kind{Federation, Multicluster}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Cluster{
		Clients: clients, Image: "lab.local/operator:1", PublicDomainTemplate: "%s.cluster-a.lab",
		Certificate: certificate, Authority: authority.PEM, Settings: settings,
	}
}

// releases of that name that are deployed.
func releases(ctx context.Context, client kubernetes.Interface, name string) ([]string, error) {
	list, err := client.CoreV1().Secrets("d8-system").List(ctx, metav1.ListOptions{LabelSelector: "owner=helm,status=deployed,name=" + name})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, secret := range list.Items {
		names = append(names, secret.Name)
	}
	return names, nil
}

// pretendReady makes a Pod of istiod that is ready, as its Deployment would where there are nodes.
func pretendReady(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	revision := istioversion.Default().Revision()
	var deployment *appsv1.Deployment
	err := await.Until(t.Context(), time.Minute, func(ctx context.Context) (bool, string, error) {
		var err error
		deployment, err = client.AppsV1().Deployments(moduleNamespace).Get(ctx, "istiod-"+revision, metav1.GetOptions{})
		if err != nil {
			return await.NotYet(err)
		}
		return true, "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "istiod", Labels: deployment.Spec.Template.Labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	pods := client.CoreV1().Pods(moduleNamespace)
	if pod, err = pods.Create(t.Context(), pod, metav1.CreateOptions{}); err == nil {
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		_, err = pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// process is the operator.
type process struct {
	command *exec.Cmd
	ended   chan error
	log     string
	url     string
}

func startOperator(t *testing.T, root, kubeconfig string) *process {
	t.Helper()
	dir := t.TempDir()
	port := freePort(t)
	digests := filepath.Join(dir, "images_digests.json")
	encoded, err := json.Marshal(digestsOfAll(t, root))
	if err == nil {
		err = os.WriteFile(digests, encoded, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return launch(t, dir, port, exec.CommandContext(t.Context(), filepath.Join(root, "bin", "operator"), "start",
		"--kubeconfig", kubeconfig, "--images-digests", digests, "--listen-address", "127.0.0.1", "--listen-port", strconv.Itoa(port)))
}

// launch starts an operator that listens on the port, with the folder as its home and for its log; env is besides this process' own.
func launch(t *testing.T, dir string, port int, command *exec.Cmd, env ...string) *process {
	t.Helper()
	started := &process{command: command, log: filepath.Join(dir, "operator.log"), url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	log, err := os.Create(started.log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	command.Stdout, command.Stderr = log, log
	command.Env = slices.Concat(os.Environ(), []string{"HOME=" + dir, "TMPDIR=" + dir}, env)
	if err := command.Start(); err != nil {
		t.Fatalf("start the operator (`make test-installation` builds it): %v", err)
	}
	started.ended = make(chan error, 1)
	go func() { started.ended <- started.command.Wait() }()
	return started
}

// digestsOfAll are digests of no images: nothing pulls them here.
func digestsOfAll(t *testing.T, root string) map[string]string {
	t.Helper()
	folders, err := os.ReadDir(filepath.Join(root, "images"))
	if err != nil {
		t.Fatal(err)
	}
	digests := map[string]string{}
	for _, folder := range folders {
		words := strings.Split(folder.Name(), "-")
		for i := 1; i < len(words); i++ {
			words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
		}
		digests[strings.Join(words, "")] = "sha256:" + strings.Repeat("0", 64)
	}
	return digests
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

func (p *process) awaitReady(t *testing.T) {
	t.Helper()
	eventually(t, p, func(ctx context.Context) (bool, string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/readyz", nil)
		if err != nil {
			return false, "", err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return await.NotYet(err)
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK, response.Status, nil
	})
}

func (p *process) awaitLog(t *testing.T, text string) {
	t.Helper()
	eventually(t, p, func(context.Context) (bool, string, error) {
		content, err := os.ReadFile(p.log)
		return bytes.Contains(content, []byte(text)), "the log has no " + text, err
	})
}

func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := <-p.ended; err != nil {
		t.Errorf("the operator ended with %v", err)
	}
}

// tail is the end of the operator's log.
func (p *process) tail() string {
	content, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-8000):])
}

func eventually(t *testing.T, operator *process, condition func(context.Context) (bool, string, error)) {
	t.Helper()
	err := await.Until(t.Context(), 3*time.Minute, func(ctx context.Context) (bool, string, error) {
		select {
		case err := <-operator.ended:
			return false, "", fmt.Errorf("the operator ended: %w", err)
		default:
			return condition(ctx)
		}
	})
	if err != nil {
		t.Fatalf("%v; the operator's log:\n%s", err, operator.tail())
	}
}
