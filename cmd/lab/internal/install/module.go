package install

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/rollout"
	"github.com/deckhouse-mesh/istio/deploy/operator"
	"github.com/deckhouse-mesh/istio/lib/await"
	"github.com/deckhouse-mesh/istio/lib/names"
)

const (
	// ingressClass is that of the cluster's ingress controller.
	ingressClass = "nginx"
	// publicTLSSecret holds the certificate that the cluster shows the world.
	publicTLSSecret = "public-tls"
	// Versions of the settings in the ModuleConfigs, the newest ones: what a person writes today.
	globalSettingsVersion = 1
	moduleSettingsVersion = 3

	// Unavailable is a component whose image only its makers have: nothing waits for it.
	Unavailable = "kiali"
	// rejectedPrefix is how the operator's message on a ModuleConfig begins whose settings are not accepted.
	rejectedPrefix = "Invalid, "
)

// Module switches the module on and waits until everything of it is ready.
func (c *Cluster) Module(ctx context.Context, note Note) error {
	for _, object := range []map[string]any{c.publicTLS(), c.globalConfig(), c.moduleConfig()} {
		if err := c.Clients.ApplyAll(ctx, []map[string]any{object}); err != nil {
			return fmt.Errorf("switch the module on: %w", err)
		}
	}
	if c.StockEnvoy {
		if err := c.adaptToStockEnvoy(ctx, note); err != nil {
			return err
		}
	}
	if err := c.AwaitModule(ctx, note); err != nil {
		return fmt.Errorf("wait for the module: %w", err)
	}
	return nil
}

// AwaitModule waits until the module's webhooks exist, which are rendered last,
// and all of its Pods are ready.
func (c *Cluster) AwaitModule(ctx context.Context, note Note) error {
	return await.Until(ctx, stepTimeout, func(ctx context.Context) (bool, string, error) {
		message, err := c.moduleMessage(ctx)
		if err != nil {
			return await.NotYet(err)
		}
		if strings.HasPrefix(message, rejectedPrefix) { // only a person can change that
			return false, "", fmt.Errorf("the settings are rejected; ModuleConfig %s says: %s", c.module(), message)
		}
		missing, err := c.moduleMissing(ctx)
		if err != nil {
			return await.NotYet(err)
		}
		if missing == "" {
			return true, "", nil
		}
		if message != "" {
			missing += "; ModuleConfig " + c.module() + " says: " + message
		}
		note(missing)
		return false, missing, nil
	})
}

func (c *Cluster) moduleMessage(ctx context.Context) (string, error) {
	config, err := c.Clients.Dynamic.Resource(kube.ModuleConfigs).Get(ctx, c.module(), metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	message, _, _ := unstructured.NestedString(config.Object, "status", "message")
	return message, nil
}

// moduleMissing says what the module lacks: a workload that is not ready, with its reason, or its webhooks.
func (c *Cluster) moduleMissing(ctx context.Context) (string, error) {
	options := metav1.ListOptions{LabelSelector: names.SelectorOf(c.module())}
	deployments, err := c.Clients.Typed.AppsV1().Deployments(moduleNamespace).List(ctx, options)
	if err != nil {
		return "", err
	}
	sets, err := c.Clients.Typed.AppsV1().DaemonSets(moduleNamespace).List(ctx, options)
	if err != nil {
		return "", err
	}
	if len(deployments.Items) == 0 {
		return "no Deployment in " + moduleNamespace + " yet", nil
	}
	for i := range deployments.Items {
		deployment := &deployments.Items[i]
		if missing := rollout.DeploymentMissing(deployment); missing != "" && deployment.Name != Unavailable {
			return missing + rollout.Explain(ctx, c.Clients.Typed, moduleNamespace, deployment.Spec.Selector), nil
		}
	}
	for i := range sets.Items {
		if missing := rollout.DaemonSetMissing(&sets.Items[i]); missing != "" {
			return missing + rollout.Explain(ctx, c.Clients.Typed, moduleNamespace, sets.Items[i].Spec.Selector), nil
		}
	}
	_, err = c.Clients.Typed.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, names.DefaultInjector, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "MutatingWebhookConfiguration " + names.DefaultInjector + " does not exist: no istiod has been ready", nil
	}
	return "", err
}

func (c *Cluster) publicTLS() map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
		"metadata": map[string]any{"namespace": operator.Namespace, "name": publicTLSSecret},
		"data": map[string]any{
			"tls.crt": base64.StdEncoding.EncodeToString(c.Certificate.Certificate),
			"tls.key": base64.StdEncoding.EncodeToString(c.Certificate.Key),
			"ca.crt":  base64.StdEncoding.EncodeToString(c.Authority),
		},
	}
}

func (c *Cluster) globalConfig() map[string]any {
	return moduleConfig("global", map[string]any{
		"version": globalSettingsVersion,
		"settings": map[string]any{"modules": map[string]any{
			"publicDomainTemplate": c.PublicDomainTemplate,
			"ingressClass":         ingressClass,
			"https": map[string]any{
				"mode":              "CustomCertificate",
				"customCertificate": map[string]any{"secretName": publicTLSSecret},
			},
		}},
	})
}

func (c *Cluster) moduleConfig() map[string]any {
	return moduleConfig(c.module(), map[string]any{"enabled": true, "version": moduleSettingsVersion, "settings": c.Settings})
}

func moduleConfig(name string, spec map[string]any) map[string]any {
	return map[string]any{
		"apiVersion": "deckhouse.io/v1alpha1", "kind": "ModuleConfig",
		"metadata": map[string]any{"name": name}, "spec": spec,
	}
}
