package rendertest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func TestSettingsAccepted(t *testing.T) {
	m := load(t)
	for name, settings := range map[string]string{
		"none at all":                                 "{}",
		"versions":                                    "globalVersion: '1.30'\nadditionalVersions: ['1.31', '1.29']",
		"federation":                                  "federation: {enabled: true}",
		"multicluster, switched off":                  "multicluster: {enabled: false}",
		"advertised addresses":                        "alliance: {ingressGateway: {advertise: [{address: 203.0.113.7, port: 443}, {address: 2001:db8::7, port: 1}, {address: gw.example.com, port: 65535}]}}",
		"plain text only":                             "tlsMode: \"Off\"",
		"a CA with its key":                           "ca:\n  cert: |\n    -----BEGIN CERTIFICATE-----\n    MII\n    -----END CERTIFICATE-----\n  key: |\n    -----BEGIN EC PRIVATE KEY-----\n    MHc\n    -----END EC PRIVATE KEY-----\n",
		"an ingress without a certificate":            "https: {mode: OnlyInURI}",
		"a node port with its inlet":                  "alliance: {ingressGateway: {inlet: NodePort, nodePort: {port: 30443}}}",
		"an autoscaler of Pods, requests at creation": "controlPlane: {replicasManagement: {mode: HPA, hpa: {minReplicas: 1, maxReplicas: 2, metrics: [{type: CPU, targetAverageUtilization: 70}]}}}",
		"an autoscaler of Pods and fixed requests": "controlPlane: {replicasManagement: {mode: HPA, hpa: {minReplicas: 1, maxReplicas: 2, metrics: [{type: CPU, targetAverageUtilization: 70}]}}, " +
			"resourcesManagement: {mode: Static, vpa: {mode: Auto}}}",
		"providers":                                  "extensionProviders: [{name: a, prometheus: {}}, {name: b, prometheus: {}}]",
		"providers in both lists":                    "{extensionProviders: [{name: a, prometheus: {}}], dataPlane: {extensionProviders: [{name: b, prometheus: {}}]}}",
		"a name that needs no access log":            "extensionProviders: [{name: main-access-log-format, prometheus: {}}]",
		"the same version twice":                     "additionalVersions: ['1.30', '1.30']",
		"quantities as numbers":                      "controlPlane: {resourcesManagement: {vpa: {cpu: {max: 2, min: 0.5}, memory: {max: 2147483648}}}}",
		"no limits":                                  "sidecar: {resourcesManagement: {static: {limits: null}}}",
		"one limit":                                  "sidecar: {resourcesManagement: {static: {limits: {cpu: null, memory: 1Gi}}}}",
		"a certificate's Secret without a mode":      "https: {certManager: {clusterIssuerName: own}}",
		"placement as in a Pod, a toleration of all": "nodeSelector: {a: b}\ntolerations: [{operator: Exists}]",
	} {
		t.Run(name, func(t *testing.T) {
			if err := m.settings.Check(fromYAML(t, settings)); err != nil {
				t.Errorf("rejected: %v", err)
			}
			m.render(t, settings, nil)
		})
	}
}

func TestSettingsRejected(t *testing.T) {
	m := load(t)
	const certificate = "|\n    -----BEGIN CERTIFICATE-----\n    MII\n    -----END CERTIFICATE-----\n"
	tests := []struct{ name, settings, named string }{
		{"a setting that does not exist", "federations: {enabled: true}", "federations"},
		{"a nested setting that does not exist", "federation: {enable: true}", "enable"},
		{"what the hooks compute", "internal: {}", "internal"},
		{"a word for a boolean", "federation: {enabled: 'yes'}", "federation.enabled"},
		{"an inlet that does not exist", "alliance: {ingressGateway: {inlet: HostPort}}", "alliance.ingressGateway.inlet"},
		{"a node port out of range", "alliance: {ingressGateway: {nodePort: {port: 80}}}", "alliance.ingressGateway.nodePort.port"},
		{"a node port for a load balancer", "alliance: {ingressGateway: {inlet: LoadBalancer, nodePort: {port: 30443}}}", "alliance.ingressGateway.nodePort.port is set"},
		{"a node port for the default inlet", "alliance: {ingressGateway: {nodePort: {port: 30443}}}", "alliance.ingressGateway.nodePort.port is set"},
		{"a node port in words", "alliance: {ingressGateway: {nodePort: {port: '30443'}}}", "alliance.ingressGateway.nodePort.port"},
		{"an advertised address without a port", "alliance: {ingressGateway: {advertise: [{address: a.example.com}]}}", "alliance.ingressGateway.advertise"},
		{"a URL for an address", "alliance: {ingressGateway: {advertise: [{address: 'https://a.example.com', port: 1}]}}", "alliance.ingressGateway.advertise"},
		{"the same address twice", "alliance: {ingressGateway: {advertise: [{address: a, port: 1}, {address: a, port: 1}]}}", "alliance.ingressGateway.advertise"},
		{"an annotation that is no string", "alliance: {ingressGateway: {serviceAnnotations: {a: true}}}", "alliance.ingressGateway.serviceAnnotations"},
		{"an unquoted Off, which YAML takes for false", "tlsMode: off", "tlsMode"},
		{"a mode of TLS that does not exist", "tlsMode: Strict", "tlsMode"},
		{"a CA that is not PEM", "ca: {cert: abc, key: abc}", "ca.cert"},
		{"a CA without its key", "ca:\n  cert: " + certificate, "ca.cert and ca.key"},
		{"a root without a CA", "ca:\n  root: " + certificate, "ca.root"},
		{"a certificate without its Secret", "https: {mode: CustomCertificate}", "https.customCertificate.secretName"},
		{"an ingress class in capitals", "ingressClass: Nginx", "ingressClass"},
		{"a version with its patch", "globalVersion: 1.31.3", "globalVersion"},
		{"a version that YAML takes for a number", "additionalVersions: [1.30]", "additionalVersions"},
		{"a policy in Istio's words", "outboundTrafficPolicyMode: ALLOW_ANY", "outboundTrafficPolicyMode"},
		{"an address for a range", "sidecar: {includeOutboundIPRanges: [10.0.0.1]}", "sidecar.includeOutboundIPRanges"},
		{"a port that is a number", "sidecar: {excludeInboundPorts: [8080]}", "sidecar.excludeInboundPorts"},
		{"a quantity in words", "sidecar: {resourcesManagement: {static: {requests: {cpu: half}}}}", "sidecar.resourcesManagement.static.requests.cpu"},
		{"a ratio below one", "sidecar: {resourcesManagement: {vpa: {cpu: {limitRatio: 0.5}}}}", "sidecar.resourcesManagement.vpa.cpu.limitRatio"},
		{"tracing without a collector", "tracing: {enabled: true}", "tracing.collector.zipkin.address"},
		{"more than all requests traced", "tracing: {sampling: 101}", "tracing.sampling"},
		{"a collector without a port", "tracing: {collector: {zipkin: {address: zipkin.tracing.svc}}}", "tracing.collector.zipkin.address"},
		{"static replicas without a number", "controlPlane: {replicasManagement: {mode: Static}}", "controlPlane.replicasManagement.static.replicas"},
		{"an autoscaler without bounds", "controlPlane: {replicasManagement: {mode: HPA}}", "controlPlane.replicasManagement.hpa"},
		{"fewer at most than at least", "controlPlane: {replicasManagement: {hpa: {minReplicas: 3, maxReplicas: 2}}}", "controlPlane.replicasManagement.hpa.minReplicas"},
		{"two autoscalers that follow the use of CPU", "controlPlane: {replicasManagement: {mode: HPA, hpa: {minReplicas: 1, maxReplicas: 2, " +
			"metrics: [{type: CPU, targetAverageUtilization: 70}]}}, resourcesManagement: {vpa: {mode: InPlaceOrRecreate}}}", "controlPlane.resourcesManagement.vpa.mode is not Initial"},
		{"two providers of one name", "extensionProviders: [{name: a, prometheus: {}}, {name: b, prometheus: {}}, {name: a, prometheus: {}}]", "extensionProviders: two providers"},
		{"a provider with the module's own name", "extensionProviders: [{name: d8-tracing, prometheus: {}}]", "extensionProviders: two providers"},
		{"a redirection that does not exist", "dataPlane: {trafficRedirectionSetupMode: Magic}", "dataPlane.trafficRedirectionSetupMode"},
		{"a quantity below zero", "sidecar: {resourcesManagement: {static: {requests: {memory: -1}}}}", "sidecar.resourcesManagement.static.requests.memory"},
		{"a provider in both lists", "{extensionProviders: [{name: a, prometheus: {}}], dataPlane: {extensionProviders: [{name: a, prometheus: {}}]}}", "have a provider of the same name"},
		{"a provider of the data plane with the name of the access log's", "dataPlane: {extensionProviders: [{name: main-access-log-format, prometheus: {}}]}", "main-access-log-format"},
		{"a provider with the name of the access log's beside it", "{extensionProviders: [{name: main-access-log-format, prometheus: {}}], dataPlane: {accessLog: {}}}", "main-access-log-format"},
		{"an access log in XML", "dataPlane: {accessLog: {type: XML}}", "dataPlane.accessLog.type"},
		{"settings of version 2 as they stand", "enableHTTP10: true", "enableHTTP10"},
		{"an idle timeout without a unit", "dataPlane: {proxyConfig: {idleTimeout: '60'}}", "dataPlane.proxyConfig.idleTimeout"},
		{"a root for tokens that is not PEM", "jwksResolverAdditionalRootCA: abc", "jwksResolverAdditionalRootCA"},
		{"a provider without a name", "extensionProviders: [{prometheus: {}}]", "extensionProviders"},
		{"a place to sign in that nobody sends to", "auth: {externalAuthentication: {authSignInURL: 'https://a.example.com'}}", "auth.externalAuthentication.authSignInURL"},
		{"an effect that does not exist", "tolerations: [{effect: Never}]", "effect"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			settings := map[string]any{}
			// Not strict: YAML 1.1 booleans are the point of a case.
			if err := yaml.Unmarshal([]byte(test.settings), &settings); err != nil {
				t.Fatal(err)
			}
			err := m.settings.Check(settings)
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), test.named) {
				t.Errorf("the error does not name %q: %v", test.named, err)
			}
		})
	}
}

// property is what documentation needs of a schema.
type property struct {
	Type        string               `json:"type"`
	Description string               `json:"description"`
	Properties  map[string]*property `json:"properties"`
	Items       *property            `json:"items"`
	Examples    []any                `json:"x-examples"`
}

func (p *property) walk(path string, do func(path string, p *property)) {
	do(path, p)
	for name, child := range p.Properties {
		child.walk(path+"."+name, do)
	}
	if p.Items != nil {
		p.Items.walk(path+"[]", do)
	}
}

func TestEveryPropertyIsDescribed(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"config-values.yaml", "values.yaml"} {
		document, err := os.ReadFile(filepath.Join(root, "openapi", file))
		if err != nil {
			t.Fatal(err)
		}
		var schema property
		if err := yaml.Unmarshal(document, &schema); err != nil {
			t.Fatal(err)
		}
		for name, child := range schema.Properties {
			child.walk(name, func(path string, p *property) {
				if p.Description == "" {
					t.Errorf("%s: %s has no description", file, path)
				}
			})
		}
	}
}

// settingsSchema is openapi/config-values.yaml.
func settingsSchema(t *testing.T) (schema property) {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(root, "openapi", "config-values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(document, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestExamplesOfSettingsRender: what openapi/ shows as an example is valid and leads to manifests.
func TestExamplesOfSettingsRender(t *testing.T) {
	m := load(t)
	schema := settingsSchema(t)
	// Some settings are valid only together with others.
	company := map[string]string{
		".alliance.ingressGateway.nodePort.port":     "alliance: {ingressGateway: {inlet: NodePort}}",
		".auth.externalAuthentication.authSignInURL": "auth: {externalAuthentication: {authURL: 'https://auth.example.com/auth'}}",
		".ca.cert":                              "ca: {key: %KEY%}",
		".ca.key":                               "ca: {cert: %CERT%}",
		".ca.chain":                             "ca: {cert: %CERT%, key: %KEY%}",
		".ca.root":                              "ca: {cert: %CERT%, key: %KEY%}",
		".controlPlane.replicasManagement.mode": "controlPlane: {replicasManagement: {static: {replicas: 3}}}",
		".tracing.enabled":                      "tracing: {collector: {zipkin: {address: 'zipkin.tracing.svc:9411'}}}",
		".https.mode":                           "https: {certManager: {clusterIssuerName: letsencrypt}}",
		".https.certManager.clusterIssuerName":  "https: {mode: CertManager}",
		".https.customCertificate.secretName":   "https: {mode: CustomCertificate}",
	}
	pem := strings.NewReplacer(
		"%CERT%", `"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"`,
		"%KEY%", `"-----BEGIN PRIVATE KEY-----\nMII\n-----END PRIVATE KEY-----\n"`)
	everyMode := func(v Values) {
		v.Set([]any{"cert-manager"}, "global", "enabledModules")
		v.Set(map[string]any{"tls.crt": "crt", "tls.key": "key"}, "istio", "internal", "customCertificateData")
	}
	tried := 0
	schema.walk("", func(path string, p *property) {
		if strings.Contains(path, "[]") {
			return // shown as part of the list
		}
		for _, example := range p.Examples {
			settings := Values(fromYAML(t, pem.Replace(company[path])))
			settings.Set(example, strings.Split(strings.TrimPrefix(path, "."), ".")...)
			settings.Set(true, "federation", "enabled")
			values, err := m.settings.Values(settings)
			if err != nil {
				t.Errorf("example %v of %s: %v", example, path, err)
				continue
			}
			everyMode(values)
			if _, err := m.chart.Render(values); err != nil {
				t.Errorf("example %v of %s does not render: %v", example, path, err)
			}
			tried++
		}
	})
	if tried < 70 {
		t.Errorf("only %d examples were found", tried)
	}
}

// TestExamplesOfSettingsRenderTogether sets everything at once: to the first example of each setting, then to the second, …
func TestExamplesOfSettingsRenderTogether(t *testing.T) {
	m := load(t)
	schema := settingsSchema(t)
	examples := map[string][]any{}
	most := 0
	schema.walk("", func(path string, p *property) {
		if len(p.Examples) > 0 && !strings.Contains(path, "[]") {
			examples[path] = p.Examples
			most = max(most, len(p.Examples))
		}
	})
	for row := range most {
		settings := Values{}
		// Sorted, an object comes before its parts, which may then say otherwise.
		for _, path := range slices.Sorted(maps.Keys(examples)) {
			settings.Set(examples[path][row%len(examples[path])], strings.Split(strings.TrimPrefix(path, "."), ".")...)
		}
		values, err := m.settings.Values(settings)
		if err != nil {
			t.Errorf("row %d: %v", row, err)
			continue
		}
		values.Set([]any{"cert-manager", "vertical-pod-autoscaler"}, "global", "enabledModules")
		values.Set(map[string]any{"tls.crt": "crt", "tls.key": "key"}, "istio", "internal", "customCertificateData")
		objects, err := m.chart.Render(values, "autoscaling.k8s.io/v1/VerticalPodAutoscaler", "monitoring.coreos.com/v1/PodMonitor")
		if err != nil {
			t.Errorf("row %d does not render: %v", row, err)
			continue
		}
		checkConventions(t, objects)
	}
}
