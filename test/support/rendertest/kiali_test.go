package rendertest

import (
	"path"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	ingressv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

const externalAuthentication = "auth: {externalAuthentication: {authURL: 'https://auth.example.com/check', authSignInURL: 'https://auth.example.com/start'}}\n"

var kialiObjects = []string{
	"ClusterRole/d8:istio:kiali", "ClusterRoleBinding/d8:istio:kiali", "Deployment/kiali", "PodDisruptionBudget/kiali",
	"Secret/kiali", "Service/kiali", "ServiceAccount/kiali",
}

// enabled makes these the cluster's modules besides istio.
func enabled(modules ...any) func(Values) {
	return func(v Values) { v.Set(append([]any{"istio"}, modules...), "global", "enabledModules") }
}

// kialiConfig is what Kiali reads.
func kialiConfig(t *testing.T, objects Objects) map[string]any {
	t.Helper()
	config := map[string]any{}
	if err := yaml.UnmarshalStrict(mustDecode[*corev1.Secret](t, objects, "Secret/kiali").Data["config.yaml"], &config); err != nil {
		t.Fatal(err)
	}
	return config
}

func at(t *testing.T, config map[string]any, keys ...string) any {
	t.Helper()
	var value any = config
	for _, key := range keys {
		object, ok := value.(map[string]any)
		if !ok {
			t.Fatalf("%s is not there: %v", strings.Join(keys, "."), config)
		}
		value = object[key]
	}
	return value
}

func TestKialiIsExposedOnlyBehindAnAuthenticatingProxy(t *testing.T) {
	m := load(t)
	tests := []struct {
		name, settings string
		change         func(Values)
		wanted         []string
	}{
		{"not without an authenticating proxy", "{}", nil, nil},
		{"not for a list of addresses alone", "auth: {whitelistSourceRanges: [203.0.113.0/24]}", nil, nil},
		{"behind the one of the settings", externalAuthentication, nil, []string{"Ingress/kiali"}},
		{"behind Deckhouse's", "{}", enabled("user-authn"), []string{"DexAuthenticator/kiali", "Ingress/kiali"}},
		{"behind the one of the settings where there are both", externalAuthentication, enabled("user-authn"), []string{"Ingress/kiali"}},
		{"not where there is no name for it", externalAuthentication, func(v Values) { v.Set("", "global", "modules", "publicDomainTemplate") }, nil},
		{"not where tokens would travel in plain text", externalAuthentication + "https: {mode: Disabled}", nil, nil},
		{"not where nobody issues the certificate", externalAuthentication + "https: {mode: CertManager, certManager: {clusterIssuerName: letsencrypt}}", nil, nil},
		{"not where there is no mesh", externalAuthentication, noVersions, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			objects := m.render(t, test.settings, test.change)
			var got []string
			for _, key := range objects.Keys() {
				if kind := path.Dir(key); path.Base(key) == "kiali" && (kind == "Ingress" || kind == "DexAuthenticator") {
					got = append(got, key)
				}
			}
			if !slices.Equal(got, test.wanted) {
				t.Errorf("rendered %v, want %v", got, test.wanted)
			}
			if _, ok := objects["Secret/kiali"]; ok {
				if strategy := at(t, kialiConfig(t, objects), "auth", "strategy"); strategy != "token" {
					t.Errorf("people sign in by %q, want their token in any case", strategy)
				}
			}
		})
	}
}

func TestKialiIngress(t *testing.T) {
	m := load(t)
	const prefix = "nginx.ingress.kubernetes.io/"
	tests := []struct {
		name, settings string
		change         func(Values)
		annotations    map[string]string
	}{
		{"a proxy of the settings", externalAuthentication, nil, map[string]string{
			prefix + "auth-url": "https://auth.example.com/check", prefix + "auth-signin": "https://auth.example.com/start",
		}},
		{"a proxy that signs nobody in", "auth: {externalAuthentication: {authURL: 'https://auth.example.com/check'}}", nil, map[string]string{
			prefix + "auth-url": "https://auth.example.com/check",
		}},
		{"certain addresses only", externalAuthentication[:len(externalAuthentication)-2] + ", whitelistSourceRanges: [203.0.113.0/24, 2001:db8::/32]}", nil, map[string]string{
			prefix + "auth-url": "https://auth.example.com/check", prefix + "auth-signin": "https://auth.example.com/start",
			prefix + "whitelist-source-range": "203.0.113.0/24,2001:db8::/32",
		}},
		{"Deckhouse's proxy", "{}", enabled("user-authn"), map[string]string{
			prefix + "auth-url":    "https://kiali-dex-authenticator.d8-istio.svc.cluster-a.local/dex-authenticator/auth",
			prefix + "auth-signin": "https://$host/dex-authenticator/sign_in",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			objects := m.render(t, test.settings, test.change)
			ingress := mustDecode[*ingressv1.Ingress](t, objects, "Ingress/kiali")
			if len(ingress.Annotations) != len(test.annotations) {
				t.Errorf("annotations are %v, want %v", ingress.Annotations, test.annotations)
			}
			for key, value := range test.annotations {
				if ingress.Annotations[key] != value {
					t.Errorf("annotation %s is %q, want %q", key, ingress.Annotations[key], value)
				}
			}
			rule := ingress.Spec.Rules[0]
			if found := rule.HTTP.Paths[0]; rule.Host != "istio.a.example.com" || found.Path != "/" || found.Backend.Service.Name != "kiali" {
				t.Errorf("the Ingress serves %s%s from %v", rule.Host, found.Path, found.Backend.Service)
			}
			service := mustDecode[*corev1.Service](t, objects, "Service/kiali")
			if name := rule.HTTP.Paths[0].Backend.Service.Port.Name; service.Spec.Ports[0].Name != name {
				t.Errorf("the Ingress asks for port %q, the Service has %q", name, service.Spec.Ports[0].Name)
			}
		})
	}
}

// TestKialiAndMetadataShareAHost: two Ingresses, one host, and so one certificate.
func TestKialiAndMetadataShareAHost(t *testing.T) {
	m := load(t)
	own := func(v Values) {
		v.Set(map[string]any{"tls.crt": "crt", "tls.key": "key"}, "istio", "internal", "customCertificateData")
	}
	const issued = "https: {mode: CertManager, certManager: {clusterIssuerName: letsencrypt}}\n"
	const copied = "https: {mode: CustomCertificate, customCertificate: {secretName: own}}\n"
	tests := []struct {
		name, settings string
		change         func(Values)
		secret         string
		made           string
	}{
		{"cert-manager's, with peers", issued + federation, enabled("cert-manager"), "metadata-exporter-ingress-tls", "Certificate/metadata-exporter"},
		{"cert-manager's, without", issued, enabled("cert-manager"), "kiali-ingress-tls", "Certificate/kiali"},
		{"the person's, with peers", copied + federation, own, "metadata-exporter-ingress-tls-customcertificate", "Secret/metadata-exporter-ingress-tls-customcertificate"},
		{"the person's, without", copied, own, "kiali-ingress-tls-customcertificate", "Secret/kiali-ingress-tls-customcertificate"},
		{"the controller's while the person's was not read", copied, nil, "", ""},
		{"none where something in front has it", "https: {mode: OnlyInURI}", nil, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			objects := m.render(t, externalAuthentication+test.settings, test.change)
			var named string
			if tls := mustDecode[*ingressv1.Ingress](t, objects, "Ingress/kiali").Spec.TLS; len(tls) > 0 {
				named = tls[0].SecretName
			}
			if named != test.secret {
				t.Errorf("the certificate is Secret %q, want %q", named, test.secret)
			}
			var made []string
			for _, key := range objects.Keys() {
				if strings.HasPrefix(key, "Certificate/") || strings.Contains(key, "ingress-tls") {
					made = append(made, key)
				}
			}
			if strings.Join(made, " ") != test.made {
				t.Errorf("rendered %v for it, want %q", made, test.made)
			}
		})
	}
}

func TestKialisAuthenticatingProxyInDeckhouse(t *testing.T) {
	settings := "auth: {allowedUserGroups: [admins], whitelistSourceRanges: [203.0.113.0/24]}\n" +
		"https: {mode: CertManager, certManager: {clusterIssuerName: letsencrypt}}"
	objects := load(t).render(t, settings, enabled("user-authn", "cert-manager"))
	got, err := yaml.Marshal(objects["DexAuthenticator/kiali"].Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	const wanted = `allowedGroups:
- admins
applicationDomain: istio.a.example.com
applicationIngressCertificateSecretName: kiali-ingress-tls
applicationIngressClassName: nginx
sendAuthorizationHeader: false
whitelistSourceRanges:
- 203.0.113.0/24
`
	if string(got) != wanted {
		t.Errorf("the DexAuthenticator is\n%s\nwant\n%s", got, wanted)
	}
}

// TestKialisRights: Kiali shows; what a person may do there is that person's token's affair.
func TestKialisRights(t *testing.T) {
	m := load(t)
	for _, prometheus := range []bool{false, true} {
		var change func(Values)
		if prometheus {
			change = enabled("prometheus")
		}
		mayQuery := false
		for _, rule := range mustDecode[*rbacv1.ClusterRole](t, m.render(t, "{}", change), "ClusterRole/d8:istio:kiali").Rules {
			for _, resource := range rule.Resources {
				switch {
				case resource == "tokenreviews" && slices.Equal(rule.Verbs, []string{"create"}):
					continue
				case resource == "prometheuses/http":
					mayQuery = slices.Equal(rule.ResourceNames, []string{"main"})
					continue
				case slices.Contains([]string{"secrets", "pods/log", "pods/exec", "pods/portforward"}, resource),
					resource == "*" && !strings.Contains(strings.Join(rule.APIGroups, " "), "istio.io"):
					t.Errorf("Kiali may read %s of %v", resource, rule.APIGroups)
				}
				if !slices.Equal(rule.Verbs, []string{"get", "list", "watch"}) {
					t.Errorf("Kiali may %v %s", rule.Verbs, resource)
				}
			}
		}
		if mayQuery != prometheus {
			t.Errorf("with Prometheus %v Kiali may query it: %v", prometheus, mayQuery)
		}
	}
}

func TestKialiConfig(t *testing.T) {
	m := load(t)
	tests := []struct {
		name, settings string
		change         func(Values)
		key            string
		wanted         any
	}{
		{"changes nothing", "{}", nil, "deployment.view_only_mode", true},
		{"finds the mesh's root namespace", "{}", nil, "external_services.istio.root_namespace", "d8-istio"},
		{"knows the cluster by the name that istiod uses", "{}", nil, "kubernetes_config.cluster_name", "6a5ba9d4-0c5e-4b5e-9a41-0b2f5f1c2d3e"},
		{"asks Deckhouse's Prometheus", "{}", enabled("prometheus"), "external_services.prometheus.url", "https://prometheus.d8-monitoring:9090"},
		{"asks it with its own token", "{}", enabled("prometheus"), "external_services.prometheus.auth.use_kiali_token", true},
		{"asks no Prometheus elsewhere", "{}", nil, "external_services.prometheus.url", nil},
		{"shows no traces by default", "{}", nil, "external_services.tracing.enabled", false},
		{
			"shows the traces of Jaeger", "tracing: {kiali: {jaegerGRPCEndpoint: 'http://jaeger-query.tracing.svc:16685'}}", nil,
			"external_services.tracing.internal_url", "http://jaeger-query.tracing.svc:16685",
		},
		{
			"links to Jaeger", "tracing: {kiali: {jaegerGRPCEndpoint: 'http://jaeger:16685', jaegerURLForUsers: 'https://jaeger.example.com'}}", nil,
			"external_services.tracing.external_url", "https://jaeger.example.com",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			config := kialiConfig(t, m.render(t, test.settings, test.change))
			if got := at(t, config, strings.Split(test.key, ".")...); got != test.wanted {
				t.Errorf("%s is %v, want %v", test.key, got, test.wanted)
			}
		})
	}
}

// TestKialiSessions: Kiali demands a key of 16, 24 or 32 bytes; one that anybody could know would let anybody in.
func TestKialiSessions(t *testing.T) {
	m := load(t)
	key := func(change func(Values)) string {
		return at(t, kialiConfig(t, m.render(t, "{}", change)), "login_token", "signing_key").(string)
	}
	first := key(nil)
	if len(first) != 32 {
		t.Errorf("the key has %d bytes", len(first))
	}
	if again := key(nil); again != first {
		t.Error("the key is another one each time: everybody would be signed out")
	}
	if other := key(func(v Values) { v.Set("another", "istio", "internal", "ca", "key") }); other == first {
		t.Error("another cluster has the same key")
	}
}

// TestKialiNeedsNoPriorityClassOfDeckhouse: Kubernetes creates no Pod of a class that it does not know.
func TestKialiNeedsNoPriorityClassOfDeckhouse(t *testing.T) {
	m := load(t)
	for wanted, change := range map[string]func(Values){"": nil, "cluster-low": enabled("priority-class")} {
		pod := mustDecode[*appsv1.Deployment](t, m.render(t, "{}", change), "Deployment/kiali").Spec.Template.Spec
		if pod.PriorityClassName != wanted {
			t.Errorf("the class is %q, want %q", pod.PriorityClassName, wanted)
		}
	}
}

func TestKialiFollowsItsConfiguration(t *testing.T) {
	m := load(t)
	checksum := func(settings string) string {
		template := mustDecode[*appsv1.Deployment](t, m.render(t, settings, nil), "Deployment/kiali").Spec.Template
		if template.Labels["sidecar.istio.io/inject"] != "false" {
			t.Error("Kiali's Pod gets a sidecar")
		}
		return template.Annotations["checksum/config"]
	}
	if checksum("{}") == checksum("tracing: {kiali: {jaegerGRPCEndpoint: 'http://jaeger:16685'}}") {
		t.Error("another configuration does not restart Kiali, which reads it once")
	}
}
