package rendertest

import (
	"cmp"
	"encoding/json"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	ingressv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	istionetworking "istio.io/api/networking/v1alpha3"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

func TestReplicasOfExporterAndWatcher(t *testing.T) {
	m := load(t)
	tests := []struct {
		name     string
		settings string
		change   func(Values)
		replicas int32
	}{
		{"one by default", federation, nil, 1},
		{"two where the control plane is highly available", federation, highlyAvailable, 2},
		{"two when the settings want it", federation + "\nhighAvailability: true", nil, 2},
		{"one when the settings want that", federation + "\nhighAvailability: false", highlyAvailable, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			objects := m.render(t, test.settings, test.change)
			for _, name := range []string{"metadata-exporter", "metadata-watcher"} {
				deployment := mustDecode[*appsv1.Deployment](t, objects, "Deployment/"+name)
				if got := *deployment.Spec.Replicas; got != test.replicas {
					t.Errorf("%d replicas of %s, want %d", got, name, test.replicas)
				}
				if spread := deployment.Spec.Template.Spec.Affinity != nil; spread != (test.replicas > 1) {
					t.Errorf("replicas of %s kept on different nodes: %v, with %d of them", name, spread, test.replicas)
				}
			}
		})
	}
}

func highlyAvailable(v Values) {
	v.Set(true, "global", "discovery", "clusterControlPlaneIsHighlyAvailable")
}

func TestMetadataExporterStartsAsDocumented(t *testing.T) {
	objects := load(t).render(t, federation, nil)
	pod := mustDecode[*appsv1.Deployment](t, objects, "Deployment/metadata-exporter").Spec.Template.Spec
	container := pod.Containers[0]

	wanted := []string{
		"--listen-address=[$(POD_IP)]:8443", "--telemetry-address=[$(POD_IP)]:8080", "--namespace=d8-istio",
		"--cluster-domain=cluster-a.local", "--cluster-uuid=6a5ba9d4-0c5e-4b5e-9a41-0b2f5f1c2d3e",
		"--tls-dir=/etc/metadata-exporter/tls",
	}
	if !slices.Equal(container.Args, wanted) {
		t.Errorf("arguments are %q, want %q", container.Args, wanted)
	}
	if env := container.Env[0]; env.Name != "POD_IP" || env.ValueFrom.FieldRef.FieldPath != "status.podIP" {
		t.Errorf("POD_IP is %+v, want the Pod's address", env)
	}
	if pod.ServiceAccountName != "metadata-exporter" {
		t.Errorf("the ServiceAccount is %q", pod.ServiceAccountName)
	}
	if got := secretsOf(pod); !maps.Equal(got, map[string]string{"/etc/metadata-exporter/tls": "metadata-exporter-tls"}) {
		t.Errorf("the Pod's Secrets are %v", got)
	}
}

func TestMetadataWatcherStartsAsDocumented(t *testing.T) {
	m := load(t)
	for settings, kinds := range map[string][]string{
		federation:                       nil,
		multicluster:                     {"--watch-kinds=IstioMulticluster"},
		federation + "\n" + multicluster: {"--watch-kinds=IstioFederation,IstioMulticluster"},
	} {
		pod := mustDecode[*appsv1.Deployment](t, m.render(t, settings, nil), "Deployment/metadata-watcher").Spec.Template.Spec
		container := pod.Containers[0]
		wanted := append([]string{
			"--telemetry-address=[$(POD_IP)]:8080", "--namespace=d8-istio", "--cluster-uuid=6a5ba9d4-0c5e-4b5e-9a41-0b2f5f1c2d3e",
			"--authn-dir=/etc/metadata-watcher/authn", "--client-certificate-dir=/etc/metadata-watcher/client",
		}, kinds...)
		if !slices.Equal(container.Args, wanted) {
			t.Errorf("arguments are %q, want %q", container.Args, wanted)
		}
		if pod.ServiceAccountName != "metadata-watcher" || !slices.Equal(container.Command, []string{"/usr/local/bin/metadata-watcher"}) {
			t.Errorf("the ServiceAccount is %q, the command %q", pod.ServiceAccountName, container.Command)
		}
		if got := secretsOf(pod); !maps.Equal(got, map[string]string{
			"/etc/metadata-watcher/authn": "d8-remote-authn-keypair", "/etc/metadata-watcher/client": "d8-remote-client-certificate",
		}) {
			t.Errorf("the Pod's Secrets are %v", got)
		}
	}
}

// secretsOf a Pod's first container, by the folder where they are mounted.
func secretsOf(pod corev1.PodSpec) map[string]string {
	secrets := map[string]string{}
	for _, mount := range pod.Containers[0].VolumeMounts {
		i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
		secrets[mount.MountPath] = pod.Volumes[i].Secret.SecretName
	}
	return secrets
}

// TestMetadataExporterListensOnEitherFamily: what the kubelet makes of the
// arguments is an address for Go, whatever the Pod's is.
func TestMetadataExporterListensOnEitherFamily(t *testing.T) {
	objects := load(t).render(t, federation, nil)
	args := mustDecode[*appsv1.Deployment](t, objects, "Deployment/metadata-exporter").Spec.Template.Spec.Containers[0].Args
	for _, address := range []string{"10.111.0.7", "fd00::7"} {
		for _, arg := range args[:2] {
			_, written, _ := strings.Cut(strings.ReplaceAll(arg, "$(POD_IP)", address), "=")
			if host, _, err := net.SplitHostPort(written); err != nil || host != address {
				t.Errorf("%s with %s is %s: host %q, %v", arg, address, written, host, err)
			}
		}
	}
}

func TestTheWatcherAloneFollowsTheKeypair(t *testing.T) {
	m := load(t)
	another := func(v Values) { v.Set("another", "istio", "internal", "remoteAuthnKeypair", "priv") }
	before, after := m.render(t, federation, nil), m.render(t, federation, another)
	for name, restarts := range map[string]bool{"metadata-watcher": true, "metadata-exporter": false} {
		template := func(objects Objects) corev1.PodTemplateSpec {
			return mustDecode[*appsv1.Deployment](t, objects, "Deployment/"+name).Spec.Template
		}
		if got := !equality.Semantic.DeepEqual(template(before), template(after)); got != restarts {
			t.Errorf("a new keypair restarts %s: %v, want %v", name, got, restarts)
		}
	}
}

// TestPodsAreRestricted checks the Pod Security Standard "restricted" on what it names for containers.
func TestPodsAreRestricted(t *testing.T) {
	objects := load(t).render(t, federation, nil)
	pods := map[string]corev1.PodSpec{
		"ingressgateway": mustDecode[*appsv1.DaemonSet](t, objects, "DaemonSet/ingressgateway").Spec.Template.Spec,
	}
	for _, key := range objects.Keys() {
		if name, isDeployment := strings.CutPrefix(key, "Deployment/"); isDeployment {
			pods[name] = mustDecode[*appsv1.Deployment](t, objects, key).Spec.Template.Spec
		}
	}
	if len(pods) < 2+len(revisions) {
		t.Errorf("only %d kinds of Pods are rendered", len(pods))
	}
	for name, pod := range pods {
		if pod.HostNetwork || pod.HostPID || pod.HostIPC {
			t.Errorf("%s shares a namespace of the node", name)
		}
		for _, container := range pod.Containers {
			context := container.SecurityContext
			switch {
			case context == nil:
				t.Errorf("%s/%s has no security context", name, container.Name)
			case !*context.RunAsNonRoot, *context.RunAsUser == 0:
				t.Errorf("%s/%s may run as root", name, container.Name)
			case *context.AllowPrivilegeEscalation, !*context.ReadOnlyRootFilesystem:
				t.Errorf("%s/%s may escalate or write to its root filesystem", name, container.Name)
			case !slices.Equal(context.Capabilities.Drop, []corev1.Capability{"ALL"}), len(context.Capabilities.Add) > 0:
				t.Errorf("%s/%s keeps capabilities", name, container.Name)
			case context.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault:
				t.Errorf("%s/%s has no seccomp profile", name, container.Name)
			}
			if container.Resources.Requests.Cpu().IsZero() || container.Resources.Requests.Memory().IsZero() {
				t.Errorf("%s/%s requests no cpu or memory", name, container.Name)
			}
			for _, port := range container.Ports {
				if port.HostPort != 0 {
					t.Errorf("%s/%s takes port %d of the node", name, container.Name, port.HostPort)
				}
			}
		}
	}
}

func TestPublicDocument(t *testing.T) {
	objects := load(t).render(t, federation, nil)
	data := mustDecode[*corev1.ConfigMap](t, objects, "ConfigMap/metadata-exporter").Data

	var public metadata.Public
	if err := json.Unmarshal([]byte(data["public.json"]), &public); err != nil {
		t.Fatal(err)
	}
	wanted := metadata.Public{
		ClusterUUID: "6a5ba9d4-0c5e-4b5e-9a41-0b2f5f1c2d3e",
		AuthnKeyPub: "-----BEGIN ED25519 PUBLIC KEY-----\npublic\n-----END ED25519 PUBLIC KEY-----\n",
		RootCA:      "-----BEGIN CERTIFICATE-----\nroot\n-----END CERTIFICATE-----\n",
		TrustDomain: "cluster-a.local",
	}
	if public != wanted {
		t.Errorf("public.json is %+v, want %+v", public, wanted)
	}
	var gateways []metadata.IngressGateway
	if err := json.Unmarshal([]byte(data["ingress-gateways.json"]), &gateways); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(gateways, []metadata.IngressGateway{{Address: "203.0.113.7", Port: 15443}}) {
		t.Errorf("ingress-gateways.json is %v", gateways)
	}
}

func TestPeersOfTheExporter(t *testing.T) {
	m := load(t)
	document := func(change func(Values)) string {
		return string(mustDecode[*corev1.Secret](t, m.render(t, federation, change),
			"Secret/d8-remote-clusters-public-metadata").Data["remote-public-metadata.json"])
	}
	peers := map[string]struct{ Kind, Name, TrustDomain, ResourceUID string }{}
	if err := json.Unmarshal([]byte(document(nil)), &peers); err != nil {
		t.Fatal(err)
	}
	if peer := peers["0f2b3c4d-1111-4222-8333-444455556666"]; peer.Kind != "IstioFederation" || peer.TrustDomain != "cluster-b.local" ||
		peer.ResourceUID != "7a3a4c6e-9f4b-4a3d-8a44-7a5f3b1c2d10" {
		t.Errorf("the peers are %v", peers)
	}
	nobody := func(v Values) { v.Set(map[string]any{}, "istio", "internal", "remotePublicMetadata") }
	if got := document(nobody); got != "{}" {
		t.Errorf("without peers the document is %q, want an empty map", got)
	}
}

func TestCASecretHasTheKeysOfIstiod(t *testing.T) {
	secret := mustDecode[*corev1.Secret](t, load(t).render(t, "{}", nil), "Secret/cacerts")
	for key, word := range map[string]string{
		"ca-cert.pem": "intermediate", "ca-key.pem": "key", "cert-chain.pem": "chain", "root-cert.pem": "root",
	} {
		if value := string(secret.Data[key]); !strings.Contains(value, "\n"+word+"\n") {
			t.Errorf("%s is %q, want the PEM with %q in it", key, value, word)
		}
	}
}

func TestIngress(t *testing.T) {
	m := load(t)
	tests := []struct {
		name     string
		settings string
		change   func(Values)
		class    string
		secret   string // of the Ingress and, as it speaks HTTPS to the exporter, of the exporter
	}{
		{"plain where something in front terminates TLS", federation, nil, "nginx", ""},
		{"with a class of its own", federation + "\ningressClass: inner", nil, "inner", ""},
		{
			"with the certificate of cert-manager",
			federation + "\nhttps: {mode: CertManager, certManager: {clusterIssuerName: letsencrypt}}",
			func(v Values) { v.Set([]any{"cert-manager"}, "global", "enabledModules") },
			"nginx", "metadata-exporter-ingress-tls",
		},
		{
			"with the person's certificate",
			federation + "\nhttps: {mode: CustomCertificate, customCertificate: {secretName: own}}",
			func(v Values) {
				v.Set(map[string]any{"tls.crt": "crt", "tls.key": "key"}, "istio", "internal", "customCertificateData")
			},
			"nginx", "metadata-exporter-ingress-tls-customcertificate",
		},
		{
			"with the controller's certificate while the person's was not read",
			federation + "\nhttps: {mode: CustomCertificate, customCertificate: {secretName: own}}", nil, "nginx", "",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			objects := m.render(t, test.settings, test.change)
			for name, host := range map[string]string{"metadata-exporter": "istio.a.example.com", "istio-metadata": "istio-metadata.a.example.com"} {
				ingress := mustDecode[*ingressv1.Ingress](t, objects, "Ingress/"+name)
				rule := ingress.Spec.Rules[0]
				path := rule.HTTP.Paths[0]
				if rule.Host != host || path.Path != "/metadata" || *path.PathType != ingressv1.PathTypePrefix || path.Backend.Service.Name != "metadata-exporter" {
					t.Errorf("Ingress %s serves %s%s (%s) from %s", name, rule.Host, path.Path, *path.PathType, path.Backend.Service.Name)
				}
				if got := ingress.Annotations["nginx.ingress.kubernetes.io/backend-protocol"]; got != "HTTPS" {
					t.Errorf("Ingress %s speaks %q to the exporter, whose listener is TLS", name, got)
				}
				if got := *ingress.Spec.IngressClassName; got != test.class {
					t.Errorf("the class of Ingress %s is %q, want %q", name, got, test.class)
				}
				var secret string
				if tls := ingress.Spec.TLS; len(tls) > 0 {
					secret = tls[0].SecretName
					if len(tls) != 1 || !slices.Equal(tls[0].Hosts, []string{host}) {
						t.Errorf("TLS of Ingress %s is %+v, want %s", name, tls, host)
					}
				}
				if secret != test.secret {
					t.Errorf("TLS of Ingress %s is of Secret %q, want %q", name, secret, test.secret)
				}
			}
			mounted := cmp.Or(test.secret, "metadata-exporter-tls")
			volumes := mustDecode[*appsv1.Deployment](t, objects, "Deployment/metadata-exporter").Spec.Template.Spec.Volumes
			i := slices.IndexFunc(volumes, func(v corev1.Volume) bool { return v.Name == "tls" })
			if got := volumes[i].Secret.SecretName; got != mounted {
				t.Errorf("the exporter's listener has Secret %q, want %q", got, mounted)
			}
		})
	}
}

func TestIngressGatewayInlets(t *testing.T) {
	m := load(t)
	tests := []struct {
		name        string
		settings    string
		kind        corev1.ServiceType
		nodePort    int32
		annotations map[string]string
	}{
		{"a load balancer by default", federation, corev1.ServiceTypeLoadBalancer, 0, nil},
		{
			"a load balancer ordered with annotations",
			federation + "\nalliance: {ingressGateway: {serviceAnnotations: {example.com/type: nlb}}}",
			corev1.ServiceTypeLoadBalancer, 0, map[string]string{"example.com/type": "nlb"},
		},
		{
			"a node port that Kubernetes chooses",
			federation + "\nalliance: {ingressGateway: {inlet: NodePort}}",
			corev1.ServiceTypeNodePort, 0, nil,
		},
		{
			"a node port that a person chose",
			federation + "\nalliance: {ingressGateway: {inlet: NodePort, nodePort: {port: 30443}}}",
			corev1.ServiceTypeNodePort, 30443, nil,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			objects := m.render(t, test.settings, nil)
			service := mustDecode[*corev1.Service](t, objects, "Service/ingressgateway")
			if service.Spec.Type != test.kind {
				t.Errorf("the Service is a %s, want a %s", service.Spec.Type, test.kind)
			}
			port := service.Spec.Ports[0]
			if port.Name != "tls" || port.Port != 15443 || port.NodePort != test.nodePort {
				t.Errorf("the port is %+v, want tls 15443 on node port %d", port, test.nodePort)
			}
			for key, value := range test.annotations {
				if service.Annotations[key] != value {
					t.Errorf("annotations are %v, want %s", service.Annotations, key)
				}
			}
		})
	}
}

func TestGatewayPassesTheClustersHostsThrough(t *testing.T) {
	objects := load(t).render(t, federation, nil)
	gateway := mustDecode[*networkingv1.Gateway](t, objects, "Gateway/ingressgateway")
	pods := mustDecode[*appsv1.DaemonSet](t, objects, "DaemonSet/ingressgateway").Spec.Template
	server := gateway.Spec.Servers[0]
	if server.Tls.Mode != istionetworking.ServerTLSSettings_AUTO_PASSTHROUGH || server.Port.Number != 15443 {
		t.Errorf("the server is %v, want AUTO_PASSTHROUGH on 15443", server)
	}
	if !slices.Equal(server.Hosts, []string{"*.cluster-a.local"}) {
		t.Errorf("hosts are %v, want those of the cluster's own domain only", server.Hosts)
	}
	for key, value := range gateway.Spec.Selector {
		if pods.Labels[key] != value {
			t.Errorf("the Gateway selects %s=%s, which its Pods do not have: %v", key, value, pods.Labels)
		}
	}
}

func TestIngressGatewayPlacement(t *testing.T) {
	settings := federation + `
nodeSelector: {role: system}
alliance:
  ingressGateway:
    nodeSelector: {role: edge}
    tolerations: [{key: edge, operator: Exists}]
    gatewayPodAnnotations: {example.com/note: "1", cluster-autoscaler.kubernetes.io/enable-ds-eviction: "true"}
`
	pods := mustDecode[*appsv1.DaemonSet](t, load(t).render(t, settings, nil), "DaemonSet/ingressgateway").Spec.Template
	if got := pods.Spec.NodeSelector["role"]; got != "edge" {
		t.Errorf("the gateway runs on nodes %v, want its own setting to hold", pods.Spec.NodeSelector)
	}
	if got := pods.Spec.Tolerations; len(got) != 1 || got[0].Key != "edge" {
		t.Errorf("tolerations are %v", got)
	}
	if pods.Annotations["example.com/note"] != "1" {
		t.Errorf("annotations are %v", pods.Annotations)
	}
	if pods.Annotations["cluster-autoscaler.kubernetes.io/enable-ds-eviction"] != "true" {
		t.Error("the person's annotation does not override the module's")
	}
}
