package lab

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/ingress"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
)

const (
	// operatorNamespace is Deckhouse's, where the module's operator keeps its state.
	operatorNamespace = "d8-system"
	// moduleNamespace is where the module installs everything.
	moduleNamespace = "d8-istio"
	// publicTLSSecret holds the certificate that the cluster shows the world.
	publicTLSSecret = "lab-public-tls"
	// settingsVersion of both ModuleConfigs.
	settingsVersion = 1
	// crdTimeout bounds the wait for the ModuleConfig API.
	crdTimeout = 30 * time.Second
)

// seed makes a fresh cluster what a cluster is before the module is installed:
// made by kubeadm, with Deckhouse's namespace and ModuleConfigs.
type seed struct {
	plan    plan
	version string
	crdFile string
	public  *pki.Authority
	// fronts are the addresses at which the cluster is reached in the place of its public names.
	fronts   []netip.Addr
	settings map[string]any
}

func (s seed) apply(ctx context.Context, clients *kube.Clients) error {
	if err := s.applyCRD(ctx, clients); err != nil {
		return err
	}
	tls, err := s.publicTLS()
	if err != nil {
		return err
	}
	for _, object := range []struct {
		resource schema.GroupVersionResource
		object   map[string]any
	}{
		{kube.Namespaces, map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": operatorNamespace}}},
		{kube.ConfigMaps, s.kubeadmConfig()},
		{kube.Secrets, tls},
		{kube.ModuleConfigs, s.globalConfig()},
		{kube.ModuleConfigs, s.istioConfig()},
	} {
		if err := clients.Apply(ctx, object.resource, object.object); err != nil {
			return err
		}
	}
	return nil
}

func (s seed) applyCRD(ctx context.Context, clients *kube.Clients) error {
	content, err := os.ReadFile(s.crdFile)
	if err != nil {
		return fmt.Errorf("read the definition of ModuleConfig, which `make generate` makes: %w", err)
	}
	definition := map[string]any{}
	if err := yaml.Unmarshal(content, &definition); err != nil {
		return fmt.Errorf("read the definition of ModuleConfig in %s: %w", s.crdFile, err)
	}
	name := (&unstructured.Unstructured{Object: definition}).GetName()
	// Created, not applied: server-side apply refuses the definition's x-doc-examples.
	_, err = clients.Dynamic.Resource(kube.CRDs).Create(ctx, &unstructured.Unstructured{Object: definition}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create the definition of ModuleConfig: %w", err)
	}
	return awaitEstablished(ctx, clients, name, crdTimeout)
}

func awaitEstablished(ctx context.Context, clients *kube.Clients, name string, timeout time.Duration) error {
	err := poll(ctx, timeout, func(ctx context.Context) (bool, string, error) {
		definition, err := clients.Dynamic.Resource(kube.CRDs).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return notYet(err)
		}
		condition, _ := kube.Condition(definition, "Established")
		return kube.String(condition, "status") == "True", "it is not established", nil
	})
	if err != nil {
		return fmt.Errorf("wait for the API of %s: %w", name, err)
	}
	return nil
}

// kubeadmConfig is where a cluster made by kubeadm says what it is.
func (s seed) kubeadmConfig() map[string]any {
	configuration := fmt.Sprintf(`apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
clusterName: %s
kubernetesVersion: %s
networking:
  dnsDomain: %s
  podSubnet: %s
  serviceSubnet: %s
`, s.plan.name, s.version, s.plan.domain, s.plan.podSubnet, s.plan.serviceSubnet)
	return map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"namespace": "kube-system", "name": "kubeadm-config"},
		"data":     map[string]any{"ClusterConfiguration": configuration},
	}
}

func (s seed) publicTLS() (map[string]any, error) {
	pair, err := s.public.Issue(publicSubject(s.plan.publicHost(), s.plan, s.fronts))
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
		"metadata": map[string]any{"namespace": operatorNamespace, "name": publicTLSSecret},
		"data": map[string]any{
			"tls.crt": base64.StdEncoding.EncodeToString(pair.Certificate),
			"tls.key": base64.StdEncoding.EncodeToString(pair.Key),
			"ca.crt":  base64.StdEncoding.EncodeToString(s.public.PEM),
		},
	}, nil
}

// publicSubject is that of a certificate which is good for every public name
// and address of the cluster.
func publicSubject(commonName string, of plan, fronts []netip.Addr) pki.Subject {
	subject := pki.Subject{
		CommonName: commonName,
		DNSNames:   []string{of.publicHost(), of.apiHost(), "localhost"},
		IPs:        []net.IP{net.IPv4(127, 0, 0, 1)},
		Server:     true,
	}
	for _, front := range fronts {
		subject.IPs = append(subject.IPs, front.AsSlice())
	}
	return subject
}

func (s seed) globalConfig() map[string]any {
	return moduleConfig("global", map[string]any{
		"version": settingsVersion,
		"settings": map[string]any{"modules": map[string]any{
			"publicDomainTemplate": s.plan.publicDomainTemplate(),
			"ingressClass":         ingress.Class,
			"https": map[string]any{
				"mode":              "CustomCertificate",
				"customCertificate": map[string]any{"secretName": publicTLSSecret},
			},
		}},
	})
}

func (s seed) istioConfig() map[string]any {
	return moduleConfig("istio", map[string]any{"enabled": true, "version": settingsVersion, "settings": s.settings})
}

func moduleConfig(name string, spec map[string]any) map[string]any {
	return map[string]any{
		"apiVersion": "deckhouse.io/v1alpha1", "kind": "ModuleConfig",
		"metadata": map[string]any{"name": name}, "spec": spec,
	}
}
