//go:build kubernetes

package kubernetes

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/rendertest"
)

// settingsUnderTest render, between them, every object of the module.
var settingsUnderTest = map[string]string{
	"nothing but the mesh": "{}",
	"joined in both ways":  "{federation: {enabled: true}, multicluster: {enabled: true}, highAvailability: true}",
	"node ports":           "{federation: {enabled: true}, alliance: {ingressGateway: {inlet: NodePort, nodePort: {port: 30443}}}}",
	"scaled by load":       "{controlPlane: {replicasManagement: {mode: HPA, hpa: {minReplicas: 2, maxReplicas: 5, metrics: [{type: CPU, targetAverageUtilization: 80}]}}}}",
	"traced":               "{tracing: {enabled: true, sampling: 10, collector: {zipkin: {address: 'zipkin.tracing.svc:9411'}}}, tlsMode: Mutual}",
}

func TestEverySupportedKubernetesAcceptsWhatIsRendered(t *testing.T) {
	root, err := rendertest.Root()
	if err != nil {
		t.Fatal(err)
	}
	servers, err := filepath.Glob(filepath.Join(root, ".cache", "tools", "kubernetes", "v*", "kube-apiserver"))
	if err != nil || len(servers) == 0 {
		t.Fatalf("there is no API server to ask (%v): run `make test-kubernetes`", err)
	}
	for _, server := range servers {
		t.Run(filepath.Base(filepath.Dir(server)), func(t *testing.T) {
			client := start(t, root, server)
			for name, settings := range settingsUnderTest {
				t.Run(name, func(t *testing.T) { client.accepts(t, root, settings) })
			}
		})
	}
}

// api is one running API server.
type api struct {
	objects dynamic.Interface
	mapper  meta.RESTMapper
}

func start(t *testing.T, root, server string) api {
	t.Helper()
	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join(root, "crds"), filepath.Join(root, "crds", "istio")},
		ErrorIfCRDPathMissing: true,
	}
	environment.ControlPlane.Etcd = &envtest.Etcd{Path: filepath.Join(root, ".cache", "tools", "kube", "etcd")}
	environment.ControlPlane.APIServer = &envtest.APIServer{Path: server}
	environment.ControlPlane.APIServer.Configure().Append("service-cluster-ip-range", "10.222.0.0/16")
	config, err := environment.Start()
	if err != nil {
		t.Fatalf("start %s: %v", server, err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Errorf("stop %s: %v", server, err)
		}
	})
	client, err := connect(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func connect(config *rest.Config) (api, error) {
	// Dry runs check that the namespaces of objects exist.
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return api{}, err
	}
	for _, name := range []string{"d8-istio", "d8-system", "shop"} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := typed.CoreV1().Namespaces().Create(context.Background(), namespace, metav1.CreateOptions{}); err != nil {
			return api{}, fmt.Errorf("create namespace %s: %w", name, err)
		}
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return api{}, err
	}
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return api{}, err
	}
	return api{objects, restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(found))}, nil
}

// accepts renders the module with settings and has the server check every object.
func (a api) accepts(t *testing.T, root, settings string) {
	t.Helper()
	chart, err := rendertest.LoadChart(root)
	if err != nil {
		t.Fatal(err)
	}
	schemas, err := rendertest.LoadSettings(root)
	if err != nil {
		t.Fatal(err)
	}
	decoded := map[string]any{}
	if err := yaml.Unmarshal([]byte(settings), &decoded); err != nil {
		t.Fatal(err)
	}
	values, err := schemas.Values(decoded)
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := chart.Render(values)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range rendered.Keys() {
		if err := a.dryRun(rendered[key]); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	t.Logf("%d objects", len(rendered))
}

func (a api) dryRun(object *unstructured.Unstructured) error {
	mapping, err := a.mapper.RESTMapping(object.GroupVersionKind().GroupKind(), object.GroupVersionKind().Version)
	if err != nil {
		return err
	}
	var target dynamic.ResourceInterface = a.objects.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		target = a.objects.Resource(mapping.Resource).Namespace(object.GetNamespace())
	}
	_, err = target.Apply(context.Background(), object.GetName(), object, metav1.ApplyOptions{
		FieldManager: "test", Force: true, DryRun: []string{metav1.DryRunAll},
	})
	return err
}
