package operator_test

import (
	"testing"

	"github.com/deckhouse-mesh/istio/test/support/rendertest"
)

var everything rendertest.Objects

// rendered is all that the templates can render outside Deckhouse. Only there are
// its registry's credentials and its modules user-authn and prometheus.
func rendered(t *testing.T) rendertest.Objects {
	t.Helper()
	if everything != nil {
		return everything
	}
	const settings = `
federation: {enabled: true}
multicluster: {enabled: true}
tracing: {enabled: true, collector: {zipkin: {address: "zipkin.tracing:9411"}}}
controlPlane: {replicasManagement: {mode: HPA, hpa: {minReplicas: 2, maxReplicas: 5, metrics: [{type: CPU, targetAverageUtilization: 80}]}}}
auth: {externalAuthentication: {authURL: "https://auth.example.com/auth", authSignInURL: "https://auth.example.com/sign_in"}}
https: {mode: CertManager, certManager: {clusterIssuerName: letsencrypt}}
gatewayAPIGateway: {name: shared, namespace: gateways}
`
	objects, err := rendertest.Render(settings, func(values rendertest.Values) {
		values.Set([]any{"cert-manager", "istio", "vertical-pod-autoscaler"}, "global", "enabledModules")
		values.Set(true, "global", "highAvailability")
		values.Set(map[string]any{"kind": "IstioMulticluster", "name": "m", "clusterUUID": "uuid-m", "authnKeyPub": "key"},
			"istio", "internal", "remotePublicMetadata", "uuid-m")
	}, "gateway.networking.k8s.io/v1/BackendTLSPolicy", "gateway.networking.k8s.io/v1/HTTPRoute", "gateway.networking.k8s.io/v1/ListenerSet",
		"autoscaling.k8s.io/v1/VerticalPodAutoscaler", "monitoring.coreos.com/v1/PodMonitor", "monitoring.coreos.com/v1/PrometheusRule", "cert-manager.io/v1/Certificate")
	if err != nil {
		t.Fatal(err)
	}
	withCustomCertificate, err := rendertest.Render("federation: {enabled: true}\nmulticluster: {enabled: true}\nhttps: {mode: CustomCertificate, customCertificate: {secretName: own}}",
		func(values rendertest.Values) {
			values.Set(map[string]any{"tls.crt": "certificate", "tls.key": "key"}, "istio", "internal", "customCertificateData")
		})
	if err != nil {
		t.Fatal(err)
	}
	for key, object := range withCustomCertificate {
		objects[key] = object
	}
	everything = objects
	return everything
}
