package rendertest

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	istionetworking "istio.io/api/networking/v1alpha3"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/deckhouse-mesh/istio/lib/healthcheck"
)

const (
	ownUUID  = "6a5ba9d4-0c5e-4b5e-9a41-0b2f5f1c2d3e"
	peerUUID = "0f2b3c4d-1111-4222-8333-444455556666"
)

// withMulticlusterPeer adds a peer of the same mesh, and one whose UUID cannot be a part of a name.
func withMulticlusterPeer(values Values) {
	for uuid, name := range map[string]string{"aaaaaaaa-1111-4222-8333-444455556666": "cluster-m", "UUID.X": "cluster-x"} {
		values.Set(map[string]any{"kind": "IstioMulticluster", "name": name, "clusterUUID": uuid, "authnKeyPub": "key", "trustDomain": "cluster-a.local"},
			"istio", "internal", "remotePublicMetadata", uuid)
	}
}

func TestEveryAcceptedPeerIsCalledByTheNameThatItsServiceHas(t *testing.T) {
	objects := load(t).render(t, federation+"\n"+multicluster, withMulticlusterPeer)
	var targets []healthcheck.Target
	if err := json.Unmarshal([]byte(mustDecode[*corev1.ConfigMap](t, objects, "ConfigMap/"+healthcheck.TargetsConfigMap).Data[healthcheck.TargetsKey]), &targets); err != nil {
		t.Fatal(err)
	}
	want := []healthcheck.Target{
		{Kind: "IstioFederation", Name: "cluster-b", ClusterUUID: peerUUID, Host: healthcheck.Hostname(peerUUID, "cluster-b.local")},
		{Kind: "IstioMulticluster", Name: "cluster-m", ClusterUUID: "aaaaaaaa-1111-4222-8333-444455556666",
			Host: healthcheck.Hostname("aaaaaaaa-1111-4222-8333-444455556666", "cluster-a.local")},
	}
	if !slices.Equal(targets, want) {
		t.Errorf("called are %+v, want %+v", targets, want)
	}
	egress := mustDecode[*networkingv1.Sidecar](t, objects, "Sidecar/alliance-healthcheck").Spec.Egress
	hosts := []string{"d8-istio/" + healthcheck.Hostname(ownUUID, "cluster-a.local"), "d8-istio/" + want[0].Host, "d8-istio/" + want[1].Host}
	if len(egress) != 1 || !slices.Equal(egress[0].Hosts, hosts) {
		t.Errorf("the proxy knows %v, want %v", egress, hosts)
	}
	// Under federation the rule of the imported Service says so.
	rule := mustDecode[*networkingv1.DestinationRule](t, objects, "DestinationRule/alliance-healthcheck-"+want[1].ClusterUUID)
	if rule.Spec.Host != want[1].Host || rule.Spec.TrafficPolicy.ConnectionPool.Http.MaxRequestsPerConnection != 1 || rule.Spec.TrafficPolicy.Tls != nil {
		t.Errorf("the rule of the multicluster peer is %v", &rule.Spec)
	}
	if _, rendered := objects["DestinationRule/alliance-healthcheck-"+peerUUID]; rendered {
		t.Error("there are two DestinationRules for a federated peer")
	}
}

func TestTheServiceThatPeersCallLeadsToTheProxy(t *testing.T) {
	m := load(t)
	for settings, published := range map[string]bool{federation: true, multicluster: false} {
		objects := m.render(t, settings, nil)
		service := mustDecode[*corev1.Service](t, objects, "Service/alliance-healthcheck-"+ownUUID)
		if _, labelled := service.Labels["federation.istio.deckhouse.io/public-service"]; labelled != published {
			t.Errorf("with %s the Service is published: %t", settings, labelled)
		}
		pods := mustDecode[*appsv1.Deployment](t, objects, "Deployment/alliance-healthcheck").Spec.Template
		for key, value := range service.Spec.Selector {
			if pods.Labels[key] != value {
				t.Errorf("the Service selects %s=%s, which the Pods do not have: %v", key, value, pods.Labels)
			}
		}
		sidecar := mustDecode[*networkingv1.Sidecar](t, objects, "Sidecar/alliance-healthcheck")
		for key, value := range sidecar.Spec.WorkloadSelector.Labels {
			if pods.Labels[key] != value {
				t.Errorf("the Sidecar selects %s=%s, which the Pods do not have: %v", key, value, pods.Labels)
			}
		}
		proxy := pods.Spec.Containers[slices.IndexFunc(pods.Spec.Containers, func(c corev1.Container) bool { return c.Name == "istio-proxy" })]
		port := proxy.Ports[slices.IndexFunc(proxy.Ports, func(p corev1.ContainerPort) bool { return p.Name == service.Spec.Ports[0].TargetPort.StrVal })]
		ingress := sidecar.Spec.Ingress[0]
		if int32(ingress.Port.Number) != port.ContainerPort || ingress.CaptureMode != istionetworking.CaptureMode_NONE {
			t.Errorf("the proxy takes calls at %v, the Service leads to %v", ingress, port)
		}
		if !slices.Contains(pods.Spec.Containers[0].Args, "--listen-address="+ingress.DefaultEndpoint) {
			t.Errorf("the proxy hands over at %s, the program has %v", ingress.DefaultEndpoint, pods.Spec.Containers[0].Args)
		}
		// Peers and the gateway open mutual TLS only to Pods that say that they have a proxy.
		if pods.Labels["security.istio.io/tlsMode"] != "istio" || pods.Labels["sidecar.istio.io/inject"] != "false" {
			t.Errorf("the Pods have the labels %v", pods.Labels)
		}
	}
}

func TestTheHealthcheckFollowsTheDefaultRevision(t *testing.T) {
	m := load(t)
	for _, revision := range []string{"v1x31", "v1x30"} {
		objects := m.render(t, federation, func(v Values) { v.Set(revision, "istio", "internal", "defaultRevision") })
		healthchecks := mustDecode[*appsv1.Deployment](t, objects, "Deployment/alliance-healthcheck").Spec.Template
		gateway := mustDecode[*appsv1.DaemonSet](t, objects, "DaemonSet/ingressgateway").Spec.Template
		if healthchecks.Labels["istio.io/rev"] != revision || healthchecks.Spec.Containers[1].Image != gateway.Spec.Containers[0].Image {
			t.Errorf("with the default %s the proxy is of revision %s, image %s", revision, healthchecks.Labels["istio.io/rev"], healthchecks.Spec.Containers[1].Image)
		}
		for _, container := range healthchecks.Spec.Containers {
			if context := container.SecurityContext; context == nil || context.Capabilities == nil || len(context.Capabilities.Add) > 0 || !reflect.DeepEqual(context.Capabilities.Drop, []corev1.Capability{"ALL"}) {
				t.Errorf("container %s has the security context %+v", container.Name, context)
			}
		}
	}
}
