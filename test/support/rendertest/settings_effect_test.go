package rendertest

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/settings"
)

// mesh is the MeshConfig of the default version.
func (m module) mesh(t *testing.T, settings string) map[string]any {
	t.Helper()
	objects := m.render(t, settings, nil)
	for key, object := range objects {
		if !strings.HasPrefix(key, "ConfigMap/istio-v") {
			continue
		}
		data, _ := object.Object["data"].(map[string]any)
		text, _ := data["mesh"].(string)
		return fromYAML(t, text)
	}
	t.Fatalf("no mesh configuration among %v", objects.Keys())
	return nil
}

func TestAccessLog(t *testing.T) {
	m := load(t)
	for name, test := range map[string]struct{ settings, want string }{
		"text in Istio's format": {"{}", "{path: /dev/stdout}"},
		"text in another format": {"{textFormat: '%RESPONSE_CODE%'}", "{path: /dev/stdout, logFormat: {text: '%RESPONSE_CODE%'}}"},
		"JSON with Istio's keys": {"{type: JSON}", "{path: /dev/stdout, logFormat: {labels: {}}}"},
		"JSON with other keys": {"{type: JSON, textFormat: x, jsonLabels: {code: '%RESPONSE_CODE%'}}",
			"{path: /dev/stdout, logFormat: {labels: {code: '%RESPONSE_CODE%'}}}"},
	} {
		mesh := m.mesh(t, "dataPlane: {accessLog: "+test.settings+"}")
		got, err := yaml.Marshal(mesh["extensionProviders"])
		if err != nil {
			t.Fatal(err)
		}
		want, err := yaml.Marshal([]any{map[string]any{"name": "main-access-log-format", "envoyFileAccessLog": fromYAML(t, test.want)}})
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("%s: got\n%swant\n%s", name, got, want)
		}
		if defaults, _ := yaml.Marshal(mesh["defaultProviders"]); !strings.Contains(string(defaults), "accessLogging:\n- main-access-log-format\n") {
			t.Errorf("%s: the default providers are\n%s", name, defaults)
		}
	}
	if mesh := m.mesh(t, "{}"); mesh["extensionProviders"] != nil || strings.Contains(string(mustYAML(t, mesh)), "accessLogging") {
		t.Errorf("without the setting the mesh has an access log: %v", mesh)
	}
}

func mustYAML(t *testing.T, value any) []byte {
	t.Helper()
	text, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestProvidersOfBothSettingsAreInTheMesh(t *testing.T) {
	m := load(t)
	mesh := m.mesh(t, "{extensionProviders: [{name: a, prometheus: {}}], dataPlane: {extensionProviders: [{name: b, envoyExtAuthzGrpc: {service: b.b.svc, port: 80}}]}}")
	want := "- name: a\n  prometheus: {}\n- envoyExtAuthzGrpc:\n    port: 80\n    service: b.b.svc\n  name: b\n"
	if got := mustYAML(t, mesh["extensionProviders"]); string(got) != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// sidecarResources are what the injector gives a sidecar with settings as the operator passes them on.
func (m module) sidecarResources(t *testing.T, document string) string {
	t.Helper()
	written := fromYAML(t, document)
	if err := m.settings.Check(written); err != nil {
		t.Fatal(err)
	}
	objects := m.render(t, string(mustYAML(t, settings.WithoutNulls(written))), nil)
	for key, object := range objects {
		if !strings.HasPrefix(key, "ConfigMap/istio-sidecar-injector-v") {
			continue
		}
		data, _ := object.Object["data"].(map[string]any)
		text, _ := data["values"].(string)
		proxy := fromYAML(t, text)["global"].(map[string]any)["proxy"].(map[string]any)
		return string(mustYAML(t, proxy["resources"]))
	}
	t.Fatalf("no injector among %v", objects.Keys())
	return ""
}

func TestQuantitiesLimitsAndRatios(t *testing.T) {
	m := load(t)
	const sidecarDefaults = "limits:\n  cpu: \"2\"\n  memory: 1Gi\nrequests:\n  cpu: 100m\n  memory: 128Mi\n"
	for name, test := range map[string]struct{ management, want string }{
		"the defaults":             {"{}", sidecarDefaults},
		"numbers":                  {"{static: {requests: {cpu: 0.5, memory: 134217728}, limits: {cpu: 2, memory: 2147483648}}}", "limits:\n  cpu: \"2\"\n  memory: \"2147483648\"\nrequests:\n  cpu: \"0.5\"\n  memory: \"134217728\"\n"},
		"both limits removed":      {"{static: {limits: null}}", "requests:\n  cpu: 100m\n  memory: 128Mi\n"},
		"one limit removed":        {"{static: {limits: {cpu: null}}}", "limits:\n  memory: 1Gi\nrequests:\n  cpu: 100m\n  memory: 128Mi\n"},
		"a limit removed by a 0":   {"{static: {limits: {cpu: 0, memory: '0'}}}", "requests:\n  cpu: 100m\n  memory: 128Mi\n"},
		"an autoscaler's bounds":   {"{mode: VPA, vpa: {cpu: {min: 0.1, max: 3}}}", "limits:\n  cpu: \"3\"\n  memory: 1Gi\nrequests:\n  cpu: \"0.1\"\n  memory: 128Mi\n"},
		"an autoscaler's ratios":   {"{mode: VPA, vpa: {cpu: {min: 0.5, limitRatio: 1.5}, memory: {min: 1.5Gi, limitRatio: 2}}}", "limits:\n  cpu: 750m\n  memory: \"3221225472\"\nrequests:\n  cpu: \"0.5\"\n  memory: 1.5Gi\n"},
		"a ratio of thousandths":   {"{mode: VPA, vpa: {cpu: {min: 25m, limitRatio: 2.5}}}", "limits:\n  cpu: 63m\n  memory: 1Gi\nrequests:\n  cpu: 25m\n  memory: 128Mi\n"},
		"a ratio of bytes":         {"{mode: VPA, vpa: {memory: {min: 100000000, limitRatio: 1.5}}}", "limits:\n  cpu: \"2\"\n  memory: \"150000000\"\nrequests:\n  cpu: 50m\n  memory: \"100000000\"\n"},
		"a ratio of decimal units": {"{mode: VPA, vpa: {memory: {min: 2k, limitRatio: 1.5}}}", "limits:\n  cpu: \"2\"\n  memory: \"3000\"\nrequests:\n  cpu: 50m\n  memory: 2k\n"},
	} {
		if got := m.sidecarResources(t, "sidecar: {resourcesManagement: "+test.management+"}"); got != test.want {
			t.Errorf("%s: a sidecar has\n%swant\n%s", name, got, test.want)
		}
	}
}

func TestIstiodUnderAnAutoscaler(t *testing.T) {
	m := load(t)
	settings := "controlPlane: {resourcesManagement: {vpa: {mode: InPlaceOrRecreate, cpu: {min: 50m, max: 2, limitRatio: 1.5}, memory: {min: 256Mi, max: 2147483648, limitRatio: 1.5}}}}"
	objects := m.render(t, settings, func(v Values) { v.Set([]any{"vertical-pod-autoscaler"}, "global", "enabledModules") }, "autoscaling.k8s.io/v1/VerticalPodAutoscaler")
	deployment := string(mustYAML(t, objects["Deployment/istiod-v1x31"].Object))
	for _, want := range []string{"cpu: 75m", "memory: \"402653184\"", "cpu: 50m", "memory: 256Mi", "GOMEMLIMIT", "GOMAXPROCS"} {
		if !strings.Contains(deployment, want) {
			t.Errorf("istiod has no %q:\n%s", want, deployment)
		}
	}
	autoscaler := string(mustYAML(t, objects["VerticalPodAutoscaler/istiod-v1x31"].Object["spec"]))
	for _, want := range []string{"updateMode: InPlaceOrRecreate", "maxAllowed:\n      cpu: \"2\"\n      memory: \"2147483648\"", "minAllowed:\n      cpu: 50m\n      memory: 256Mi", "controlledValues: RequestsAndLimits"} {
		if !strings.Contains(autoscaler, want) {
			t.Errorf("the autoscaler has no %q:\n%s", want, autoscaler)
		}
	}
}

func TestTheDefaultModeOfHTTPSIsCertManager(t *testing.T) {
	m := load(t)
	values := m.values(t, "{https: {}, federation: {enabled: true}}", func(v Values) { v.Set([]any{"cert-manager"}, "global", "enabledModules") })
	objects, err := m.chart.Render(values)
	if err != nil {
		t.Fatal(err)
	}
	certificate, found := objects["Certificate/metadata-exporter"]
	if !found {
		t.Fatalf("there is no certificate among %v", objects.Keys())
	}
	if issuer := string(mustYAML(t, certificate.Object["spec"])); !strings.Contains(issuer, "name: letsencrypt") {
		t.Errorf("the certificate is of another issuer:\n%s", issuer)
	}
}

func TestWhoMayOpenKiali(t *testing.T) {
	m := load(t)
	dex := func(v Values) { v.Set([]any{"user-authn"}, "global", "enabledModules") }
	objects := m.render(t, "auth: {allowedUserEmails: [jane@example.com], allowedUserGroups: [admins], whitelistSourceRanges: [10.0.0.0/8], satisfyAny: true}", dex)
	if spec := string(mustYAML(t, objects["DexAuthenticator/kiali"].Object["spec"])); !strings.Contains(spec, "allowedEmails:\n- jane@example.com\nallowedGroups:\n- admins\n") {
		t.Errorf("the authenticator is\n%s", spec)
	}
	if annotations := objects["Ingress/kiali"].GetAnnotations(); annotations["nginx.ingress.kubernetes.io/satisfy"] != "any" {
		t.Errorf("the Ingress is annotated %v", annotations)
	}
	for _, settings := range []string{"auth: {whitelistSourceRanges: [10.0.0.0/8]}", "auth: {satisfyAny: true}"} {
		if annotations := m.render(t, settings, dex)["Ingress/kiali"].GetAnnotations(); annotations["nginx.ingress.kubernetes.io/satisfy"] != "" {
			t.Errorf("%s: the Ingress is annotated %v", settings, annotations)
		}
	}
}
