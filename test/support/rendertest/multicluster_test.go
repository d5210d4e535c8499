package rendertest

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	ingressv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// ownNetwork is the network of the cluster in testdata/global-values.yaml.
var ownNetwork = metadata.NetworkName("cluster-a.local", "6a5ba9d4-0c5e-4b5e-9a41-0b2f5f1c2d3e")

func meshOf(t *testing.T, objects Objects, revision string) (mesh, networks map[string]any) {
	t.Helper()
	data := mustDecode[*corev1.ConfigMap](t, objects, "ConfigMap/istio-"+revision).Data
	return fromYAML(t, data["mesh"]), fromYAML(t, data["meshNetworks"])
}

func TestAClusterBehindItsGatewayIsANetworkOfItsOwn(t *testing.T) {
	m := load(t)
	want := fromYAML(t, `
networks:
  network-cluster-a-local-00000001:
    endpoints: [{fromRegistry: cluster-m}]
    gateways: [{address: 198.51.100.9, port: 15443}]
`)
	for _, revision := range revisions {
		_, networks := meshOf(t, m.render(t, multicluster, nil), revision)
		if !reflect.DeepEqual(networks, want) {
			t.Errorf("%s: the networks are %v, want %v: a peer that is reached directly has no entry", revision, networks, want)
		}
		for name, settings := range map[string]string{"alone": "{}", "federated": federation} {
			if _, networks := meshOf(t, m.render(t, settings, nil), revision); !reflect.DeepEqual(networks, fromYAML(t, "networks: {}")) {
				t.Errorf("%s, %s: the networks are %v", revision, name, networks)
			}
		}
	}
}

func TestOtherClustersOfTheMeshAreTrustedByTheirAnchorsAlone(t *testing.T) {
	m := load(t)
	mesh, _ := meshOf(t, m.render(t, multicluster, nil), "v1x31")
	want := []any{map[string]any{"pem": "-----BEGIN CERTIFICATE-----\nanchor of m\n-----END CERTIFICATE-----\n"}}
	if !reflect.DeepEqual(mesh["caCertificates"], want) {
		t.Errorf("trusted are %q", mesh["caCertificates"])
	}
	if mesh, _ := meshOf(t, m.render(t, "{}", nil), "v1x31"); mesh["caCertificates"] != nil || mesh["serviceSettings"] != nil {
		t.Errorf("a cluster that stands alone trusts %q, keeps %v", mesh["caCertificates"], mesh["serviceSettings"])
	}
}

func TestHostsExcludedFromTheMeshAreClusterLocal(t *testing.T) {
	mesh, _ := meshOf(t, load(t).render(t, multicluster, nil), "v1x31")
	want := []any{map[string]any{
		"settings": map[string]any{"clusterLocal": true},
		"hosts":    []any{"*.private.svc.cluster-a.local", "db.shop.svc.cluster-a.local"},
	}}
	if !reflect.DeepEqual(mesh["serviceSettings"], want) {
		t.Errorf("serviceSettings are %v, want %v", mesh["serviceSettings"], want)
	}
}

func TestAllComponentsNameTheSameNetwork(t *testing.T) {
	for name, settings := range map[string]string{"alone": "{}", "multicluster": multicluster} {
		objects := load(t).render(t, settings, nil)
		if got := objects["Namespace/d8-istio"].GetLabels()["topology.istio.io/network"]; got != ownNetwork {
			t.Errorf("%s: the namespace says %q, want %q", name, got, ownNetwork)
		}
		values := fromYAML(t, mustDecode[*corev1.ConfigMap](t, objects, "ConfigMap/istio-sidecar-injector-v1x31").Data["values"])
		if got := values["global"].(map[string]any)["network"]; got != ownNetwork {
			t.Errorf("%s: sidecars get %q", name, got)
		}
	}
	objects := load(t).render(t, multicluster, nil)
	var published metadata.Multicluster
	if err := yaml.UnmarshalStrict([]byte(mustDecode[*corev1.ConfigMap](t, objects, "ConfigMap/metadata-exporter").Data["multicluster.json"]), &published); err != nil {
		t.Fatal(err)
	}
	if published.NetworkName != ownNetwork || published.APIHost != "istio-api-proxy.a.example.com" {
		t.Errorf("peers get %+v", published)
	}
	env := map[string]string{}
	for _, variable := range mustDecode[*appsv1.DaemonSet](t, objects, "DaemonSet/ingressgateway").Spec.Template.Spec.Containers[0].Env {
		env[variable.Name] = variable.Value
	}
	if env["ISTIO_META_NETWORK"] != ownNetwork || env["ISTIO_META_REQUESTED_NETWORK_VIEW"] != ownNetwork {
		t.Errorf("the gateway gets %v", env)
	}
}

func TestPeersLearnOfTheAPIOnlyWhereItIsServed(t *testing.T) {
	m := load(t)
	for name, objects := range map[string]Objects{
		"federation alone": m.render(t, federation, nil),
		"without a public domain": m.render(t, multicluster, func(v Values) {
			v.Set("", "global", "modules", "publicDomainTemplate")
		}),
	} {
		if text, published := mustDecode[*corev1.ConfigMap](t, objects, "ConfigMap/metadata-exporter").Data["multicluster.json"]; published {
			t.Errorf("%s: %s", name, text)
		}
		if _, rendered := objects["Ingress/api-proxy"]; rendered {
			t.Errorf("%s: there is an Ingress", name)
		}
	}
}

func TestTheGatewayIsRenderedWherePeersUseIt(t *testing.T) {
	m := load(t)
	nobody := func(v Values) { v.Set(false, "istio", "internal", "multiclusterWantsIngressGateway") }
	for name, test := range map[string]struct {
		settings string
		change   func(Values)
		want     bool
	}{
		"a resource wants it":               {multicluster, nil, true},
		"flat networks only":                {multicluster, nobody, false},
		"flat networks and federation":      {multicluster + "\n" + federation, nobody, true},
		"multicluster was switched off":     {"{}", nil, false},
		"federation does not ask resources": {federation, nobody, true},
	} {
		t.Run(name, func(t *testing.T) {
			objects := m.render(t, test.settings, test.change)
			for _, key := range []string{"DaemonSet/ingressgateway", "Service/ingressgateway", "Gateway/ingressgateway", "ServiceAccount/ingressgateway"} {
				if _, got := objects[key]; got != test.want {
					t.Errorf("%s is rendered: %v, want %v", key, got, test.want)
				}
			}
		})
	}
}

func TestTheRemoteSecretIsWhatIstiodLooksFor(t *testing.T) {
	m := load(t)
	secret := mustDecode[*corev1.Secret](t, m.render(t, multicluster, nil), "Secret/istio-remote-secret-cluster-m")
	if secret.Labels["istio/multiCluster"] != "true" || secret.Annotations["networking.istio.io/cluster"] != "cluster-m" ||
		len(secret.Data) != 1 || strings.TrimSpace(string(secret.Data["cluster-m"])) != "kind: Config" {
		t.Errorf("labels %v, annotations %v, data %q", secret.Labels, secret.Annotations, secret.Data)
	}
	for _, key := range m.render(t, "{}", nil).Keys() {
		if strings.Contains(key, "istio-remote-secret") {
			t.Errorf("a cluster that stands alone has %s", key)
		}
	}
}

func TestAReplacedKubeconfigRestartsTheIstiodsThatNeedIt(t *testing.T) {
	m := load(t)
	needs := func(v Values, revision string) {
		for _, version := range v["istio"].(map[string]any)["internal"].(map[string]any)["versions"].([]any) {
			version := version.(map[string]any)
			version["restartOnReplacedKubeconfig"] = version["revision"] == revision
		}
	}
	restart := func(revision string, replaced ...any) string {
		objects := m.render(t, multicluster, func(v Values) {
			v.Set(replaced, "istio", "internal", "replacedKubeconfigs")
			needs(v, "v1x29")
		})
		return mustDecode[*appsv1.Deployment](t, objects, "Deployment/istiod-"+revision).Spec.Template.Annotations["checksum/remote-secrets"]
	}
	if first := restart("v1x29"); first != "" {
		t.Errorf("restarted though nothing was replaced: %s", first)
	}
	once, twice := restart("v1x29", "b 1"), restart("v1x29", "b 2")
	if once == "" || once == twice {
		t.Errorf("replaced once %q, twice %q", once, twice)
	}
	for _, revision := range []string{"v1x31", "v1x30"} {
		if got := restart(revision, "b 1"); got != "" {
			t.Errorf("%s is restarted, too", revision)
		}
	}
}

func TestTheExporterWatchesTheKindsThatAreOn(t *testing.T) {
	m := load(t)
	for settings, want := range map[string]string{
		federation:                       "",
		multicluster:                     "--watch-kinds=IstioMulticluster",
		federation + "\n" + multicluster: "--watch-kinds=IstioFederation,IstioMulticluster",
	} {
		args := mustDecode[*appsv1.Deployment](t, m.render(t, settings, nil), "Deployment/metadata-exporter").Spec.Template.Spec.Containers[0].Args
		got := ""
		for _, arg := range args {
			if strings.HasPrefix(arg, "--watch-kinds") {
				got = arg
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", settings, got, want)
		}
	}
}

func TestTheAPIProxyIsReachedLikeTheExporter(t *testing.T) {
	m := load(t)
	always := map[string]string{
		"backend-protocol": "HTTPS", "proxy-read-timeout": "3600", "proxy-send-timeout": "3600",
		"proxy-buffering": "off", "proxy-request-buffering": "off",
	}
	for setting, more := range map[string]map[string]string{
		"None": nil,
		"Header": {
			"proxy-ssl-secret": "d8-istio/metadata-exporter-ingress-client", "auth-tls-secret": "d8-istio/metadata-exporter-ingress-client",
			"auth-tls-verify-client": "optional_no_ca", "auth-tls-verify-depth": "8", "auth-tls-pass-certificate-to-upstream": "true",
		},
		"Passthrough": {"ssl-passthrough": "true"},
	} {
		t.Run(setting, func(t *testing.T) {
			objects := m.render(t, multicluster+"\nalliance: {metadataEndpoint: {clientCertificates: "+setting+"}}", nil)
			want := map[string]string{}
			for _, annotations := range []map[string]string{always, more} {
				for name, value := range annotations {
					want[nginxAnnotation+name] = value
				}
			}
			ingress := mustDecode[*ingressv1.Ingress](t, objects, "Ingress/api-proxy")
			if !maps.Equal(ingress.Annotations, want) || ingress.Spec.Rules[0].Host != "istio-api-proxy.a.example.com" {
				t.Errorf("host %s, annotations %v, want %v", ingress.Spec.Rules[0].Host, ingress.Annotations, want)
			}
			pod := mustDecode[*appsv1.Deployment](t, objects, "Deployment/api-proxy").Spec.Template.Spec
			if got := slices.Contains(pod.Containers[0].Args, "--ingress-client-ca=/etc/api-proxy/ingress-client/ca.crt"); got != (setting == "Header") {
				t.Errorf("the proxy believes the controller: %v", got)
			}
			for _, volume := range pod.Volumes {
				if volume.Name == "tls" && volume.Secret.SecretName != "api-proxy-tls" {
					t.Errorf("the listener's certificate is %s", volume.Secret.SecretName)
				}
				if volume.Name == "ingress-client" && (len(volume.Secret.Items) != 1 || volume.Secret.Items[0].Key != "ca.crt") {
					t.Errorf("the proxy mounts %+v of the controller's Secret", volume.Secret.Items)
				}
			}
		})
	}
}

func TestTheAPIProxyHasAPublicCertificateWhereThereIsOne(t *testing.T) {
	m := load(t)
	objects, err := m.chart.Render(m.values(t, multicluster+"\nhttps: {mode: CertManager, certManager: {clusterIssuerName: letsencrypt}}",
		func(v Values) { v.Set([]any{"istio", "cert-manager"}, "global", "enabledModules") }))
	if err != nil {
		t.Fatal(err)
	}
	certificate := objects["Certificate/api-proxy"]
	if certificate == nil {
		t.Fatal("cert-manager is not asked")
	}
	spec := certificate.Object["spec"].(map[string]any)
	pod := mustDecode[*appsv1.Deployment](t, objects, "Deployment/api-proxy").Spec.Template.Spec
	index := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == "tls" })
	if got := pod.Volumes[index].Secret.SecretName; spec["secretName"] != got || !reflect.DeepEqual(spec["dnsNames"], []any{"istio-api-proxy.a.example.com"}) {
		t.Errorf("cert-manager writes %v for %v, the proxy mounts %s", spec["secretName"], spec["dnsNames"], got)
	}
	_, err = m.chart.Render(m.values(t, multicluster, func(v Values) { v.Set(map[string]any{}, "istio", "internal", "apiProxyCertificate") }))
	if err == nil || !strings.Contains(err.Error(), "api_proxy_certificate") {
		t.Errorf("without any certificate: %v", err)
	}
}
