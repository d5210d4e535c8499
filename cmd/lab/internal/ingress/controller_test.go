package ingress

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	ingressv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
)

var testPair = pki.Pair{Certificate: []byte("the certificate\n"), Key: []byte("the key\n")}

func TestTheControllersObjectsAreWhatTheAPIKnows(t *testing.T) {
	typed := map[string]func() any{
		"Namespace":          func() any { return &corev1.Namespace{} },
		"Secret":             func() any { return &corev1.Secret{} },
		"Service":            func() any { return &corev1.Service{} },
		"ServiceAccount":     func() any { return &corev1.ServiceAccount{} },
		"Deployment":         func() any { return &appsv1.Deployment{} },
		"IngressClass":       func() any { return &ingressv1.IngressClass{} },
		"ClusterRole":        func() any { return &rbacv1.ClusterRole{} },
		"ClusterRoleBinding": func() any { return &rbacv1.ClusterRoleBinding{} },
	}
	objects, err := controllerObjects(testPair)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, object := range objects {
		kind, _ := object["kind"].(string)
		kinds = append(kinds, kind)
		if _, ok := resources[kind]; !ok {
			t.Errorf("no resource is known for %s", kind)
		}
		empty, ok := typed[kind]
		if !ok {
			t.Fatalf("there is a %q among them", kind)
		}
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(text, empty()); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if kinds[0] != "Namespace" || len(kinds) != len(typed) {
		t.Errorf("the objects are %v", kinds)
	}
}

func TestTheControllerServesTheClassAndTheServiceThatOthersName(t *testing.T) {
	objects, err := controllerObjects(testPair)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		switch object["kind"] {
		case "IngressClass":
			var class ingressv1.IngressClass
			if err := json.Unmarshal(text, &class); err != nil || class.Name != Class {
				t.Errorf("the class is %s (%v)", class.Name, err)
			}
		case "Service":
			var service corev1.Service
			if err := json.Unmarshal(text, &service); err != nil {
				t.Fatal(err)
			}
			named := slices.ContainsFunc(service.Spec.Ports, func(port corev1.ServicePort) bool { return port.Name == Port })
			if service.Namespace != Namespace || service.Name != Name || !named {
				t.Errorf("the Service is %s/%s with the ports %v", service.Namespace, service.Name, service.Spec.Ports)
			}
		case "Deployment":
			var deployment appsv1.Deployment
			if err := json.Unmarshal(text, &deployment); err != nil {
				t.Fatal(err)
			}
			pod := &corev1.Pod{ObjectMeta: deployment.Spec.Template.ObjectMeta, Spec: deployment.Spec.Template.Spec}
			pod.Namespace = deployment.Namespace
			if !Is(pod, &pod.Spec.Containers[0]) {
				t.Error("its Pod is not taken for the controller")
			}
			if pod.Namespace = "default"; Is(pod, &pod.Spec.Containers[0]) {
				t.Error("a Pod elsewhere is taken for the controller")
			}
		}
	}
}

func TestTheControllersOwnCertificateIsInItsConfiguration(t *testing.T) {
	secret, err := configurationSecret(testPair)
	if err != nil {
		t.Fatal(err)
	}
	data, _ := secret["data"].(map[string]any)
	encoded, _ := data["dynamic.yaml"].(string)
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	var configuration struct {
		TLS struct {
			Stores map[string]struct {
				DefaultCertificate struct {
					CertFile string `json:"certFile"`
					KeyFile  string `json:"keyFile"`
				} `json:"defaultCertificate"`
			} `json:"stores"`
		} `json:"tls"`
	}
	if err := yaml.UnmarshalStrict(text, &configuration); err != nil {
		t.Fatal(err)
	}
	got := configuration.TLS.Stores["default"].DefaultCertificate
	if got.CertFile != string(testPair.Certificate) || got.KeyFile != string(testPair.Key) || strings.Contains(manifests, got.KeyFile) {
		t.Errorf("the configuration is %s", text)
	}
}
