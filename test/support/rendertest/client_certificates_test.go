package rendertest

import (
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	ingressv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const nginxAnnotation = "nginx.ingress.kubernetes.io/"

// TestHowClientCertificatesGetPastTheIngressController: the controller proves
// itself only where it is known to replace what a caller wrote into the header.
func TestHowClientCertificatesGetPastTheIngressController(t *testing.T) {
	m := load(t)
	always := map[string]string{"backend-protocol": "HTTPS", "proxy-read-timeout": "75"}
	header := map[string]string{
		"proxy-ssl-secret": "d8-istio/metadata-exporter-ingress-client", "auth-tls-secret": "d8-istio/metadata-exporter-ingress-client",
		"auth-tls-verify-client": "optional_no_ca", "auth-tls-verify-depth": "8", "auth-tls-pass-certificate-to-upstream": "true",
	}
	tests := []struct {
		name, setting string
		change        func(Values)
		annotations   map[string]string
		believed      bool
	}{
		{"not at all by default", "", nil, nil, false},
		{"not at all", "None", nil, nil, false},
		{"in a header of ingress-nginx", "Header", nil, header, true},
		{"not at all before there is a certificate for the controller", "Header", func(v Values) { v.Set(map[string]any{}, "istio", "internal", "ingressClientCertificate") }, nil, false},
		{"through it", "Passthrough", nil, map[string]string{"ssl-passthrough": "true"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			settings := federation
			if test.setting != "" {
				settings += "\nalliance: {metadataEndpoint: {clientCertificates: " + test.setting + "}}"
			}
			objects := m.render(t, settings, test.change)
			want := map[string]string{}
			for _, annotations := range []map[string]string{always, test.annotations} {
				for name, value := range annotations {
					want[nginxAnnotation+name] = value
				}
			}
			// Controllers pass a connection through only where the whole host is meant.
			path := "/metadata"
			if test.setting == "Passthrough" {
				path = "/"
			}
			for _, name := range []string{"metadata-exporter", "istio-metadata"} {
				ingress := mustDecode[*ingressv1.Ingress](t, objects, "Ingress/"+name)
				if got := ingress.Annotations; !maps.Equal(got, want) {
					t.Errorf("annotations of Ingress %s are %v, want %v", name, got, want)
				}
				if got := ingress.Spec.Rules[0].HTTP.Paths[0].Path; got != path {
					t.Errorf("the path of Ingress %s is %s, want %s", name, got, path)
				}
			}
			pod := mustDecode[*appsv1.Deployment](t, objects, "Deployment/metadata-exporter").Spec.Template.Spec
			if got := slices.Contains(pod.Containers[0].Args, "--ingress-client-ca=/etc/metadata-exporter/ingress-client/ca.crt"); got != test.believed {
				t.Errorf("the exporter believes the controller: %v, want %v", got, test.believed)
			}
			if _, got := objects["Secret/metadata-exporter-ingress-client"]; got != test.believed {
				t.Errorf("the controller's Secret is rendered: %v, want %v", got, test.believed)
			}
			for _, volume := range pod.Volumes {
				if volume.Name != "ingress-client" {
					continue
				}
				if items := volume.Secret.Items; !test.believed || len(items) != 1 || items[0].Key != "ca.crt" {
					t.Errorf("the exporter mounts %+v of the controller's Secret", items)
				}
			}
		})
	}
}

func TestTheControllersSecretIsWhatIngressNginxReads(t *testing.T) {
	objects := load(t).render(t, federation+"\nalliance: {metadataEndpoint: {clientCertificates: Header}}", nil)
	secret := mustDecode[*corev1.Secret](t, objects, "Secret/metadata-exporter-ingress-client")
	for key, word := range map[string]string{"ca.crt": "ingress issuer", "tls.crt": "ingress", "tls.key": "ingress"} {
		if value := string(secret.Data[key]); !strings.Contains(value, "\n"+word+"\n") {
			t.Errorf("%s is %q, want the PEM with %q in it", key, value, word)
		}
	}
	if secret.Namespace != "d8-istio" || secret.Type != corev1.SecretTypeTLS {
		t.Errorf("it is a %s in %s", secret.Type, secret.Namespace)
	}
}

func TestTheClientCertificateIsRenderedAndMounted(t *testing.T) {
	m := load(t)
	const key = "Secret/d8-remote-client-certificate"
	objects := m.render(t, federation, nil)
	secret := mustDecode[*corev1.Secret](t, objects, key)
	for _, name := range []string{"tls.crt", "tls.key"} {
		if !strings.Contains(string(secret.Data[name]), "\nclient\n") {
			t.Errorf("%s is %q", name, secret.Data[name])
		}
	}
	pod := mustDecode[*appsv1.Deployment](t, objects, "Deployment/metadata-watcher").Spec.Template.Spec
	index := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == "client" })
	if index < 0 || pod.Volumes[index].Secret.SecretName != "d8-remote-client-certificate" || !*pod.Volumes[index].Secret.Optional {
		t.Errorf("volumes are %+v", pod.Volumes)
	}
	for name, objects := range map[string]Objects{
		"for a cluster that stands alone": m.render(t, "{}", nil),
		"before one was issued":           m.render(t, federation, func(v Values) { v.Set(map[string]any{}, "istio", "internal", "clientCertificate") }),
	} {
		if _, rendered := objects[key]; rendered {
			t.Errorf("the Secret is rendered %s", name)
		}
	}
}

// TestKialisHostIsNotPassedThrough: peers that use it prove themselves by token,
// and those that use the metadata's own host by certificate, too.
func TestKialisHostIsNotPassedThrough(t *testing.T) {
	m := load(t)
	objects := m.render(t, externalAuthentication+federation+"\nalliance: {metadataEndpoint: {clientCertificates: Passthrough}}", nil)
	for name, wanted := range map[string]struct{ host, path, passthrough string }{
		"kiali":             {"istio.a.example.com", "/", ""},
		"metadata-exporter": {"istio.a.example.com", "/metadata", ""},
		"istio-metadata":    {"istio-metadata.a.example.com", "/", "true"},
	} {
		ingress := mustDecode[*ingressv1.Ingress](t, objects, "Ingress/"+name)
		rule := ingress.Spec.Rules[0]
		if path := rule.HTTP.Paths[0].Path; rule.Host != wanted.host || path != wanted.path {
			t.Errorf("Ingress %s serves %s%s, want %s%s", name, rule.Host, path, wanted.host, wanted.path)
		}
		if got := ingress.Annotations[nginxAnnotation+"ssl-passthrough"]; got != wanted.passthrough {
			t.Errorf("Ingress %s has ssl-passthrough %q, want %q", name, got, wanted.passthrough)
		}
	}
}

func TestTheCertificateOfTheMetadataHasBothHosts(t *testing.T) {
	objects := load(t).render(t, "https: {mode: CertManager, certManager: {clusterIssuerName: letsencrypt}}\n"+federation, enabled("cert-manager"))
	names, _, err := unstructured.NestedStringSlice(objects["Certificate/metadata-exporter"].Object, "spec", "dnsNames")
	if err != nil || !slices.Equal(names, []string{"istio.a.example.com", "istio-metadata.a.example.com"}) {
		t.Errorf("the certificate is for %v (%v)", names, err)
	}
}
