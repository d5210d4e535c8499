// Package ingress is the lab's ingress controller: Traefik, which reads the
// annotations of ingress-nginx. It runs in a Pod of the cluster, with a
// ServiceAccount of its own, and reads the API through a View.
package ingress

import (
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
)

const (
	// Namespace of the controller's Deployment and Service.
	Namespace = "lab-ingress"
	// Name of both, of the container and of its process.
	Name = "traefik"
	// Port of the Service: where the cluster's Ingresses are served.
	Port = "https"
	// Class of the Ingresses that the controller serves.
	Class = "nginx"
)

//go:embed manifests.yaml
var manifests string

// resources of the kinds in the manifests.
var resources = map[string]schema.GroupVersionResource{
	"Namespace":          kube.Namespaces,
	"Secret":             kube.Secrets,
	"Service":            kube.Services,
	"ServiceAccount":     {Version: "v1", Resource: "serviceaccounts"},
	"Deployment":         {Group: "apps", Version: "v1", Resource: "deployments"},
	"IngressClass":       {Group: "networking.k8s.io", Version: "v1", Resource: "ingressclasses"},
	"ClusterRole":        {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
	"ClusterRoleBinding": {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
}

// Is tells whether the container is the controller.
func Is(pod *corev1.Pod, container *corev1.Container) bool {
	return pod.Namespace == Namespace && container.Name == Name
}

// Apply installs the controller in the cluster. It shows the certificate where
// no Ingress has one of its own for the name that is asked for.
func Apply(ctx context.Context, clients *kube.Clients, certificate pki.Pair) error {
	objects, err := controllerObjects(certificate)
	if err != nil {
		return err
	}
	for _, object := range objects {
		kind, _ := object["kind"].(string)
		resource, ok := resources[kind]
		if !ok {
			return fmt.Errorf("install the ingress controller: no API resource is known for kind %q", kind)
		}
		if err := clients.Apply(ctx, resource, object); err != nil {
			return fmt.Errorf("install the ingress controller: %w", err)
		}
	}
	return nil
}

// controllerObjects are those of the manifests, and the Secret that holds the configuration beside the flags.
func controllerObjects(certificate pki.Pair) ([]map[string]any, error) {
	var objects []map[string]any
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(manifests), 4<<10)
	for {
		var object map[string]any
		switch err := decoder.Decode(&object); {
		case errors.Is(err, io.EOF):
			configuration, err := configurationSecret(certificate)
			if err != nil {
				return nil, err
			}
			// Its namespace comes first.
			return append(objects[:1:1], append([]map[string]any{configuration}, objects[1:]...)...), nil
		case err != nil:
			return nil, fmt.Errorf("read the manifests of the ingress controller: %w", err)
		}
		objects = append(objects, object)
	}
}

func configurationSecret(certificate pki.Pair) (map[string]any, error) {
	dynamic, err := yaml.Marshal(map[string]any{"tls": map[string]any{"stores": map[string]any{"default": map[string]any{
		// Traefik takes the content of a file in the place of its name.
		"defaultCertificate": map[string]any{"certFile": string(certificate.Certificate), "keyFile": string(certificate.Key)},
	}}}})
	if err != nil {
		return nil, fmt.Errorf("write the configuration of the ingress controller: %w", err)
	}
	return map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"namespace": Namespace, "name": Name},
		"data":     map[string]any{"dynamic.yaml": base64.StdEncoding.EncodeToString(dynamic)},
	}, nil
}

// IsPassedThrough tells whether connections to the Ingress end at what it leads to, not at the controller.
func IsPassedThrough(ingress *networkingv1.Ingress) bool {
	return ingress.Annotations[passthroughAnnotation] == passthrough
}
