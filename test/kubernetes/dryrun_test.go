//go:build kubernetes

package kubernetes

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/deckhouse-mesh/istio/test/support/rendertest"
)

// settingsUnderTest render, between them, every object of the module.
var settingsUnderTest = map[string]string{
	"only the mesh":       "{}",
	"peers of both kinds": "{federation: {enabled: true}, multicluster: {enabled: true}, highAvailability: true}",
	"node ports":          "{federation: {enabled: true}, alliance: {ingressGateway: {inlet: NodePort, nodePort: {port: 30443}}}}",
	"scaled by load":      "{controlPlane: {replicasManagement: {mode: HPA, hpa: {minReplicas: 2, maxReplicas: 5, metrics: [{type: CPU, targetAverageUtilization: 80}]}}}}",
	"numbers and ratios": "{controlPlane: {resourcesManagement: {vpa: {cpu: {min: 0.5, limitRatio: 1.5}, memory: {min: 268435456, max: 2147483648, limitRatio: 1.5}}}}, " +
		"dataPlane: {accessLog: {type: JSON}, trafficRedirectionSetupMode: CNIPlugin}, sidecar: {resourcesManagement: {static: {limits: {cpu: 0}}}}}",
	"traced": "{tracing: {enabled: true, sampling: 10, collector: {zipkin: {address: 'zipkin.tracing.svc:9411'}}}, tlsMode: Mutual}",
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
				t.Run(name, func(t *testing.T) { accepts(t, client, settings) })
			}
		})
	}
}

// start runs an API server until the test ends.
func start(t *testing.T, root, server string) *rendertest.Server {
	t.Helper()
	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join(root, "crds"), filepath.Join(root, "crds", "istio")},
		ErrorIfCRDPathMissing: true,
		// On a loaded machine a start takes longer than envtest expects.
		ControlPlaneStartTimeout: 2 * time.Minute,
		ControlPlaneStopTimeout:  time.Minute,
		CRDInstallOptions:        envtest.CRDInstallOptions{MaxTime: time.Minute},
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

func connect(config *rest.Config) (*rendertest.Server, error) {
	// Dry runs check that the namespaces of objects exist.
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"d8-istio", "d8-system", "shop"} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := typed.CoreV1().Namespaces().Create(context.Background(), namespace, metav1.CreateOptions{}); err != nil {
			return nil, fmt.Errorf("create namespace %s: %w", name, err)
		}
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return rendertest.NewServer(typed.Discovery(), objects), nil
}

// accepts renders the module with settings and has the server check every object.
func accepts(t *testing.T, server *rendertest.Server, settings string) {
	t.Helper()
	rendered, err := rendertest.Render(settings, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range rendered.Keys() {
		if err := server.DryRun(t.Context(), rendered[key]); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	t.Logf("%d objects", len(rendered))
}
