//go:build e2e

package e2e

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/test/support/rendertest"
)

// notInLab are kinds of other projects, whose CRDs the lab does not have.
var notInLab = []string{"PodMonitor", "PrometheusRule", "VerticalPodAutoscaler", "Certificate", "GrafanaDashboardDefinition"}

// optionalAPIs make the templates render what depends on other projects.
var optionalAPIs = []string{"monitoring.coreos.com/v1/PodMonitor", "monitoring.coreos.com/v1/PrometheusRule", "autoscaling.k8s.io/v1/VerticalPodAutoscaler"}

// valuesNamespaces are those that the values of test/support/rendertest name besides the module's own.
var valuesNamespaces = []string{"shop", "warehouse"}

// TestTheAPIServerAcceptsEveryRenderedObject sends what the templates render to
// a running cluster of the module, its admission webhooks included.
func TestTheAPIServerAcceptsEveryRenderedObject(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	server := rendertest.NewServer(suite.a.typed.Discovery(), suite.a.dynamic)
	for _, namespace := range valuesNamespaces {
		suite.a.ensureNamespace(t, namespace)
	}

	for name, document := range map[string]string{
		"with no setting":          "{}",
		"peers of both kinds":      "{federation: {enabled: true}, multicluster: {enabled: true}, highAvailability: true}",
		"entered by a node port":   "{federation: {enabled: true}, alliance: {ingressGateway: {inlet: NodePort, nodePort: {port: 30443}}}}",
		"scaled by load":           "{controlPlane: {replicasManagement: {mode: HPA, hpa: {minReplicas: 2, maxReplicas: 5, metrics: [{type: CPU, targetAverageUtilization: 80}]}}}}",
		"with fixed resources":     "{controlPlane: {replicasManagement: {mode: Static, static: {replicas: 3}}, resourcesManagement: {mode: Static, static: {requests: {cpu: 100m, memory: 256Mi}, limits: {cpu: '1', memory: 1Gi}}}}}",
		"traced and strict":        "{tracing: {enabled: true, sampling: 10, collector: {zipkin: {address: 'zipkin.tracing.svc:9411'}}}, tlsMode: Mutual, outboundTrafficPolicyMode: RegistryOnly}",
		"with tuned data plane":    "{dataPlane: {enableHTTP10: true, proxyConfig: {holdApplicationUntilProxyStarts: true, idleTimeout: 30m}}, sidecar: {excludeOutboundIPRanges: [10.1.0.0/16], excludeInboundPorts: ['9100']}}",
		"on nodes of their own":    "{controlPlane: {nodeSelector: {role: mesh}, tolerations: [{operator: Exists}]}, nodeSelector: {role: system}, tolerations: [{key: dedicated, operator: Exists}]}",
		"with extension providers": "{extensionProviders: [{name: opa, envoyExtAuthzGrpc: {service: opa.policy.svc.cluster.local, port: 9191}}]}",
	} {
		t.Run(name, func(t *testing.T) {
			rendered, err := rendertest.Render(document, func(v rendertest.Values) {
				v.Set([]any{"vertical-pod-autoscaler", "operator-prometheus"}, "global", "enabledModules")
			}, optionalAPIs...)
			if err != nil {
				t.Fatal(err)
			}
			asked, skipped := 0, map[string]int{}
			for _, key := range rendered.Keys() {
				object := rendered[key]
				err := server.DryRun(t.Context(), object)
				if meta.IsNoMatchError(err) && slices.Contains(notInLab, object.GetKind()) {
					skipped[object.GetKind()]++
					continue
				}
				asked++
				if err != nil {
					t.Errorf("%s: %v", key, err)
				}
			}
			t.Logf("asked for %d objects; not for %v, of which there are no CRDs here", asked, skipped)
			if asked == 0 {
				t.Error("the API server was asked for nothing")
			}
		})
	}
}

// ensureNamespace makes a namespace that the values name; it is removed after the test.
func (c *cluster) ensureNamespace(t *testing.T, name string) {
	t.Helper()
	namespaces := c.typed.CoreV1().Namespaces()
	_, err := namespaces.Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = namespaces.Delete(context.Background(), name, metav1.DeleteOptions{}) })
}
