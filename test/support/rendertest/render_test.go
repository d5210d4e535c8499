package rendertest

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// module is what most tests start from.
type module struct {
	chart    *Chart
	settings *Settings
}

func load(t *testing.T) module {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	chart, err := LoadChart(root)
	if err != nil {
		t.Fatal(err)
	}
	settings, err := LoadSettings(root)
	if err != nil {
		t.Fatal(err)
	}
	return module{chart, settings}
}

// values turns settings written in YAML into values; change, unless nil, edits them.
func (m module) values(t *testing.T, settings string, change func(Values)) Values {
	t.Helper()
	values, err := m.settings.Values(fromYAML(t, settings))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(values)
	}
	return values
}

func (m module) render(t *testing.T, settings string, change func(Values), apis ...string) Objects {
	t.Helper()
	objects, err := m.chart.Render(m.values(t, settings, change), apis...)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func mustDecode[T runtime.Object](t *testing.T, objects Objects, key string) T {
	t.Helper()
	object, err := Decode[T](objects, key)
	if err != nil {
		t.Fatal(err)
	}
	return object
}

func fromYAML(t *testing.T, document string) map[string]any {
	t.Helper()
	parsed := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(document), &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

func noVersions(v Values) { v.Set([]any{}, "istio", "internal", "versions") }

const (
	// certificate is one that only looks like one, as a block of YAML.
	certificate = "|\n  -----BEGIN CERTIFICATE-----\n  MII\n  -----END CERTIFICATE-----\n"

	federation   = "federation: {enabled: true}"
	multicluster = "multicluster: {enabled: true}"
)

// revisions are those of testdata/internal-values.yaml.
var revisions = []string{"v1x31", "v1x30", "v1x29"}

// perRevision replaces the % of each key by each revision.
func perRevision(keys ...string) []string {
	var all []string
	for _, revision := range revisions {
		for _, key := range keys {
			all = append(all, strings.ReplaceAll(key, "%", revision))
		}
	}
	return all
}

var (
	// bare is what a module renders that has no version to install.
	bare     = []string{"Namespace/d8-istio", "Secret/cacerts"}
	webhooks = append(
		perRevision("MutatingWebhookConfiguration/istio-sidecar-injector-%-d8-istio", "ValidatingWebhookConfiguration/istio-validator-%-d8-istio"),
		"MutatingWebhookConfiguration/istio-revision-tag-default",
		"ValidatingWebhookConfiguration/istiod-default-validator",
	)
	withoutWebhooks = slices.Concat(bare, kialiObjects, []string{"PeerAuthentication/default"}, perRevision(
		"ClusterRole/d8:istio:istiod-%",
		"ClusterRoleBinding/d8:istio:istiod-%",
		"ConfigMap/istio-%",
		"ConfigMap/istio-sidecar-injector-%",
		"Deployment/istiod-%",
		"PodDisruptionBudget/istiod-%",
		"Role/istiod-%",
		"RoleBinding/istiod-%",
		"Service/istiod-%",
		"ServiceAccount/istiod-%",
	))
	always = slices.Concat(withoutWebhooks, webhooks)
	// healthchecked is what checking the way to peers brings.
	healthchecked = []string{
		"ConfigMap/alliance-healthcheck",
		"ConfigMap/alliance-healthcheck-reports",
		"Deployment/alliance-healthcheck",
		"EnvoyFilter/alliance-healthcheck",
		"NetworkPolicy/alliance-healthcheck",
		"PodDisruptionBudget/alliance-healthcheck",
		"Role/alliance-healthcheck",
		"RoleBinding/alliance-healthcheck",
		"Service/alliance-healthcheck-6a5ba9d4-0c5e-4b5e-9a41-0b2f5f1c2d3e",
		"ServiceAccount/alliance-healthcheck",
		"Sidecar/alliance-healthcheck",
	}
	// alliance is what joining clusters brings in either way.
	alliance = append(slices.Concat(always, healthchecked),
		"ClusterRole/d8:istio:metadata-exporter", "ClusterRole/d8:istio:metadata-watcher",
		"ClusterRoleBinding/d8:istio:metadata-exporter", "ClusterRoleBinding/d8:istio:metadata-watcher",
		"ConfigMap/metadata-exporter",
		"DaemonSet/ingressgateway",
		"Deployment/metadata-exporter", "Deployment/metadata-watcher",
		"Gateway/ingressgateway",
		"Ingress/istio-metadata",
		"Ingress/metadata-exporter",
		"NetworkPolicy/metadata-exporter", "NetworkPolicy/metadata-watcher",
		"PodDisruptionBudget/metadata-exporter", "PodDisruptionBudget/metadata-watcher",
		"Role/metadata-exporter", "Role/metadata-watcher",
		"RoleBinding/metadata-exporter", "RoleBinding/metadata-watcher",
		"Secret/d8-remote-authn-keypair", "Secret/d8-remote-client-certificate",
		"Secret/d8-remote-clusters-public-metadata",
		"Secret/metadata-exporter-tls",
		"Service/ingressgateway",
		"Service/metadata-exporter",
		"ServiceAccount/ingressgateway",
		"ServiceAccount/metadata-exporter", "ServiceAccount/metadata-watcher",
	)
	// federated is what federation brings.
	federated = append(slices.Clone(alliance), "ConfigMap/federation-revisions")
	// ofMulticluster is what multicluster adds.
	ofMulticluster = []string{
		"ConfigMap/multicluster-revisions",
		"ClusterRole/d8:istio:api-proxy",
		"ClusterRoleBinding/d8:istio:api-proxy",
		"Deployment/api-proxy",
		"Ingress/api-proxy",
		"PodDisruptionBudget/api-proxy",
		"Role/api-proxy",
		"RoleBinding/api-proxy",
		"Secret/api-proxy-tls",
		"Secret/istio-remote-secret-cluster-m",
		"Service/api-proxy",
		"ServiceAccount/api-proxy",
	}
)

// prometheusRules has one object for each file of alerts.
func prometheusRules(t *testing.T) []string {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(root, "monitoring", "prometheus-rules", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no alerts found: %v", err)
	}
	var keys []string
	for _, file := range files {
		keys = append(keys, "PrometheusRule/istio-"+strings.TrimSuffix(filepath.Base(file), ".yaml"))
	}
	return keys
}

func TestRenderedObjects(t *testing.T) {
	m := load(t)
	tests := []struct {
		name     string
		settings string
		change   func(Values)
		apis     []string
		wanted   []string
	}{
		{"a cluster that joins no other has istiod of every version", "{}", nil, nil, always},
		{"no version to install means nothing but a namespace and the CA", "{}", noVersions, nil, bare},
		{
			"a CA that does not exist yet is left out", "{}",
			func(v Values) {
				noVersions(v)
				v.Set(map[string]any{}, "istio", "internal", "ca")
			}, nil,
			[]string{"Namespace/d8-istio"},
		},
		{
			"before any istiod was ready there are no webhooks", "{}",
			func(v Values) {
				v.Set("", "istio", "internal", "defaultRevision")
				v.Set([]any{}, "istio", "internal", "webhookRevisions")
			}, nil,
			withoutWebhooks,
		},
		{
			"webhooks point only to an istiod that has been ready", "{}",
			func(v Values) {
				v.Set("", "istio", "internal", "defaultRevision")
				v.Set([]any{"v1x30"}, "istio", "internal", "webhookRevisions")
			}, nil,
			with(withoutWebhooks,
				"MutatingWebhookConfiguration/istio-sidecar-injector-v1x30-d8-istio", "ValidatingWebhookConfiguration/istio-validator-v1x30-d8-istio"),
		},
		{
			"webhooks never point to a version that is not installed", "{}",
			func(v Values) {
				v.Set("v1x19", "istio", "internal", "defaultRevision")
				v.Set([]any{"v1x19"}, "istio", "internal", "webhookRevisions")
			}, nil,
			withoutWebhooks,
		},
		{
			"an additional root for the keys of tokens", "jwksResolverAdditionalRootCA: " + certificate, nil, nil,
			slices.Concat(always, perRevision("ConfigMap/pilot-jwks-extra-cacerts-%")),
		},
		{
			"horizontal autoscaling",
			"controlPlane: {replicasManagement: {mode: HPA, hpa: {minReplicas: 2, maxReplicas: 4, metrics: [{type: CPU, targetAverageUtilization: 70}]}}}",
			nil, nil, slices.Concat(always, perRevision("HorizontalPodAutoscaler/istiod-%")),
		},
		{
			"tracing to a Service of the cluster", "tracing: {enabled: true, collector: {zipkin: {address: 'zipkin.tracing.svc:9411'}}}",
			nil, nil, with(always, "Telemetry/default", "EnvoyFilter/tracing-collector"),
		},
		{
			"tracing to somewhere else", "tracing: {enabled: true, collector: {zipkin: {address: 'traces.example.com:9411'}}}",
			nil, nil, with(always, "Telemetry/default", "EnvoyFilter/tracing-collector", "ServiceEntry/tracing-collector"),
		},
		{"federation brings the exporter, the gateway and the check of the way to peers", federation, nil, nil, federated},
		{"the check of the way to peers can be switched off", federation + "\nalliance: {healthcheck: {enabled: false}}", nil, nil, without(federated, healthchecked...)},
		{
			"a cluster whose UUID cannot be a part of a name is not called", federation,
			func(v Values) { v.Set("UUID_A", "global", "discovery", "clusterUUID") }, nil, without(federated, healthchecked...),
		},
		{"multicluster brings the exporter, the gateway and the API proxy", multicluster, nil, nil, with(alliance, ofMulticluster...)},
		{"both together bring them once", federation + "\n" + multicluster, nil, nil, with(federated, ofMulticluster...)},
		{
			"without a public domain there is no Ingress", federation,
			func(v Values) { v.Set("", "global", "modules", "publicDomainTemplate") }, nil,
			without(without(federated, "Ingress/istio-metadata"), "Ingress/metadata-exporter"),
		},
		{
			"cert-manager issues the public certificate",
			federation + "\nhttps: {mode: CertManager, certManager: {clusterIssuerName: letsencrypt}}",
			func(v Values) { v.Set([]any{"istio", "cert-manager"}, "global", "enabledModules") }, nil,
			with(federated, "Certificate/metadata-exporter"),
		},
		{
			"a person's own certificate is copied",
			federation + "\nhttps: {mode: CustomCertificate, customCertificate: {secretName: own}}",
			func(v Values) {
				v.Set(map[string]any{"tls.crt": "crt", "tls.key": "key"}, "istio", "internal", "customCertificateData")
			}, nil,
			with(federated, "Secret/metadata-exporter-ingress-tls-customcertificate"),
		},
		{
			"a person's own certificate that was not read stops nothing",
			federation + "\nhttps: {mode: CustomCertificate, customCertificate: {secretName: own}}", nil, nil, federated,
		},
		{
			"a cluster with the Prometheus operator gets a PodMonitor", federation, nil,
			[]string{"monitoring.coreos.com/v1/PodMonitor"},
			with(federated, "PodMonitor/istio-sidecars", "PodMonitor/istiod", "PodMonitor/metadata-exporter", "PodMonitor/metadata-watcher", "PodMonitor/alliance-healthcheck"),
		},
		{
			"a cluster that knows PrometheusRules gets alerts", federation,
			func(v Values) { v.Set([]any{"istio", "operator-prometheus-crd"}, "global", "enabledModules") },
			[]string{"monitoring.coreos.com/v1/PrometheusRule"},
			slices.Concat(federated, prometheusRules(t)),
		},
		{
			"a cluster with vertical autoscaling gets autoscalers", federation,
			func(v Values) { v.Set([]any{"istio", "vertical-pod-autoscaler"}, "global", "enabledModules") },
			[]string{"autoscaling.k8s.io/v1/VerticalPodAutoscaler"},
			slices.Concat(federated, perRevision("VerticalPodAutoscaler/istiod-%"),
				[]string{"VerticalPodAutoscaler/ingressgateway", "VerticalPodAutoscaler/kiali", "VerticalPodAutoscaler/metadata-exporter", "VerticalPodAutoscaler/metadata-watcher",
					"VerticalPodAutoscaler/alliance-healthcheck"}),
		},
		{
			"a registry with a password brings its Secret", federation,
			func(v Values) {
				v.Set(map[string]any{"base": "registry.example.com/modules", "dockercfg": "e30="}, "istio", "registry")
			}, nil,
			with(federated, "Secret/istio-registry"),
		},
		{
			"so do the credentials that the operator has", federation,
			func(v Values) { v.Set("e30=", "global", "modulesImages", "registry", "credentials") }, nil,
			with(federated, "Secret/istio-registry"),
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			objects := m.render(t, test.settings, test.change, test.apis...)
			if got, want := objects.Keys(), slices.Sorted(slices.Values(test.wanted)); !slices.Equal(got, want) {
				t.Errorf("rendered\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			checkConventions(t, objects)
		})
	}
}

// TestAClusterWithoutPeersNeedsNoCertificate: the mode of https is often
// the cluster's own and no reason to reject a module without an Ingress.
func TestAClusterWithoutPeersNeedsNoCertificate(t *testing.T) {
	m := load(t)
	for mode, https := range map[string]map[string]any{
		"Disabled":          {"mode": "Disabled"},
		"OnlyInURI":         {"mode": "OnlyInURI"},
		"CertManager":       {"mode": "CertManager", "certManager": map[string]any{"clusterIssuerName": "letsencrypt"}},
		"CustomCertificate": {"mode": "CustomCertificate", "customCertificate": map[string]any{"secretName": "own"}},
	} {
		for _, whose := range []string{"istio", "global"} {
			t.Run(mode+" of "+whose, func(t *testing.T) {
				objects := m.render(t, "{}", func(v Values) {
					v.Set("", "global", "modules", "publicDomainTemplate")
					if whose == "istio" {
						v.Set(https, "istio", "https")
					} else {
						v.Set(https, "global", "modules", "https")
					}
				})
				if got, want := objects.Keys(), slices.Sorted(slices.Values(always)); !slices.Equal(got, want) {
					t.Errorf("rendered %v, want %v", got, want)
				}
			})
		}
	}
}

func TestAPodThatIsNotReadyDoesNotKeepItsNodeFromBeingDrained(t *testing.T) {
	budgets := 0
	for key, object := range load(t).render(t, federation, nil) {
		if object.GetKind() != "PodDisruptionBudget" {
			continue
		}
		budgets++
		if policy, _, _ := unstructured.NestedString(object.Object, "spec", "unhealthyPodEvictionPolicy"); policy != "AlwaysAllow" {
			t.Errorf("%s has the policy %q", key, policy)
		}
	}
	if budgets < 2 {
		t.Errorf("%d disruption budgets are rendered", budgets)
	}
}

// foreignKinds have no Go type among this project's libraries.
var foreignKinds = []string{"Certificate", "PodMonitor", "PrometheusRule", "VerticalPodAutoscaler"}

// checkConventions holds for whatever the module renders.
func checkConventions(t *testing.T, objects Objects) {
	t.Helper()
	for key, object := range objects {
		labels := object.GetLabels()
		if labels["heritage"] != "deckhouse" || labels["module"] != "istio" {
			t.Errorf("%s has labels %v, which do not say whose it is", key, labels)
		}
		if namespace := object.GetNamespace(); namespace != "" && namespace != moduleNamespace {
			t.Errorf("%s is in namespace %s", key, namespace)
		}
		if slices.Contains(foreignKinds, object.GetKind()) {
			continue
		}
		if _, err := decode(object); err != nil {
			t.Errorf("%s is not what the API server expects: %v", key, err)
		}
	}
}

func TestRenderingFailsWithTheReason(t *testing.T) {
	m := load(t)
	tests := []struct {
		name     string
		settings string
		change   func(Values)
		sentence string
	}{
		{
			"cert-manager that is not there",
			federation + "\nhttps: {mode: CertManager, certManager: {clusterIssuerName: letsencrypt}}", nil,
			"`https.mode` is CertManager, but the cluster has no cert-manager",
		},
		{
			"a certificate without a name to issue it for",
			federation + "\nhttps: {mode: CertManager, certManager: {clusterIssuerName: letsencrypt}}",
			func(v Values) {
				v.Set([]any{"cert-manager"}, "global", "enabledModules")
				v.Set("", "global", "modules", "publicDomainTemplate")
			},
			"`modules.publicDomainTemplate` is not set",
		},
		{
			"federation without a CA", federation,
			func(v Values) {
				noVersions(v)
				v.Set(map[string]any{}, "istio", "internal", "ca")
			},
			"settings `ca.*`",
		},
		{
			"istiod without a CA", "{}",
			func(v Values) { v.Set(map[string]any{}, "istio", "internal", "ca") },
			"no certificate authority for istiod yet",
		},
		{
			"a version whose files the chart lacks", "{}",
			func(v Values) {
				v.Set([]any{map[string]any{"version": "1.19", "revision": "v1x19", "fullVersion": "1.19.7", "imageSuffix": "V1x31", "restartOnReplacedKubeconfig": false}}, "istio", "internal", "versions")
			},
			"files/istio/v1x19/values.yaml is missing",
		},
		{
			"settings that name no version there is, while another is installed that cannot be", "{}",
			func(v Values) { v.Set("nothing is changed: choose 1.31", "istio", "internal", "heldBack") },
			"istio: nothing is changed: choose 1.31",
		},
		{
			"federation without a keypair", federation,
			func(v Values) { v.Set(map[string]any{}, "istio", "internal", "remoteAuthnKeypair") },
			"no keypair for `federation.enabled`",
		},
		{
			"a listener without a certificate", federation,
			func(v Values) { v.Set(map[string]any{}, "istio", "internal", "metadataExporterCertificate") },
			"no certificate for metadata-exporter's listener",
		},
		{
			"an image without a digest", federation,
			func(v Values) { v.Set(nil, "global", "modulesImages", "digests", "istio", "metadataExporter") },
			"Image istio.metadataExporter has no digest",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			objects, err := m.chart.Render(m.values(t, test.settings, test.change))
			if err == nil {
				t.Fatalf("rendered %v", objects.Keys())
			}
			if !strings.Contains(err.Error(), test.sentence) {
				t.Errorf("the error does not say %q: %v", test.sentence, err)
			}
		})
	}
}

// TestRenderingIsStable guards "nothing changes, nothing is written": what
// differs between two runs with equal values would be a new release every time.
func TestRenderingIsStable(t *testing.T) {
	m := load(t)
	first, second := m.render(t, federation, nil), m.render(t, federation, nil)
	if !reflect.DeepEqual(first, second) {
		t.Error("two renderings of the same values differ")
	}
}

func with(keys []string, more ...string) []string { return append(slices.Clone(keys), more...) }

func without(keys []string, fewer ...string) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return slices.Contains(fewer, k) })
}
