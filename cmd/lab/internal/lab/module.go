package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
)

const (
	// moduleTimeout bounds the wait for each step of the module's installation.
	moduleTimeout = 4 * time.Minute

	// uuidConfigMap in kube-system is where Deckhouse, and the operator in its stead, keep the cluster's UUID.
	uuidConfigMap, uuidKey = "d8-cluster-uuid", "cluster-uuid"
)

// awaitIdentity waits until the cluster has been given its UUID.
func (c *cluster) awaitIdentity(ctx context.Context) error {
	return c.reporter.Step(c.plan.name, "cluster UUID known", c.operator.log, func(func(string)) error {
		return poll(ctx, moduleTimeout, func(ctx context.Context) (bool, string, error) {
			config, err := c.clients.Typed.CoreV1().ConfigMaps("kube-system").Get(ctx, uuidConfigMap, metav1.GetOptions{})
			if err != nil {
				return notYet(err)
			}
			uuid := config.Data[uuidKey]
			c.publish(func() { c.uuid = uuid })
			return uuid != "", fmt.Sprintf("ConfigMap kube-system/%s has no %s", uuidConfigMap, uuidKey), nil
		})
	})
}

// awaitModule waits until the module serves the cluster's metadata to neighbours.
func (c *cluster) awaitModule(ctx context.Context, public *pki.Authority) error {
	var refused error
	err := c.reporter.Step(c.plan.name, "module installed", c.operator.log, func(note func(string)) error {
		return poll(ctx, moduleTimeout, func(ctx context.Context) (bool, string, error) {
			_, err := c.clients.Typed.AppsV1().Deployments(moduleNamespace).Get(ctx, exporter, metav1.GetOptions{})
			if err == nil {
				return true, "", nil
			}
			if message := c.moduleMessage(ctx); message != "" {
				if refused = refusal(message); refused == nil {
					note("ModuleConfig istio says: " + message)
				}
				return false, message, refused
			}
			return notYet(err)
		})
	})
	if refused != nil { // the log has nothing to add
		return withLog(err, "")
	}
	if err != nil {
		return err
	}
	err = c.reporter.Step(c.plan.name, exporter+" ready", c.exporterLog(), func(note func(string)) error {
		return poll(ctx, moduleTimeout, func(ctx context.Context) (bool, string, error) {
			deployment, err := c.clients.Typed.AppsV1().Deployments(moduleNamespace).Get(ctx, exporter, metav1.GetOptions{})
			if err != nil {
				return notYet(err)
			}
			missing := c.exporterMessage(ctx)
			if missing != "" {
				note(missing)
			}
			return deployment.Status.ReadyReplicas > 0 && deployment.Status.ObservedGeneration >= deployment.Generation, missing, nil
		})
	})
	if err != nil {
		return withLog(err, c.exporterLog())
	}
	err = c.reporter.Step(c.plan.name, "metadata served at "+c.metadataAddress(), c.exporterLog(), func(note func(string)) error {
		client := publicClient(public)
		defer client.CloseIdleConnections()
		return poll(ctx, moduleTimeout, func(ctx context.Context) (bool, string, error) {
			missing := get(ctx, client, c.metadataAddress()+"public/public.json")
			return missing == "", missing, nil
		})
	})
	return withLog(err, c.exporterLog())
}

// publicClient trusts the authority that signs what clusters show each other.
func publicClient(public *pki.Authority) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(public.PEM)
	return &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
	}
}

// refusedPrefix is how the operator's message on a ModuleConfig begins whose settings are not accepted.
const refusedPrefix = "Invalid, "

// refusal is the error that ends the wait for what refused settings would have
// brought: only a person can change them. Other messages are of what is tried again.
func refusal(message string) error {
	if strings.HasPrefix(message, refusedPrefix) {
		return fmt.Errorf("the settings are refused; ModuleConfig istio says: %s", message)
	}
	return nil
}

func (c *cluster) moduleMessage(ctx context.Context) string {
	config, err := c.clients.Dynamic.Resource(kube.ModuleConfigs).Get(ctx, "istio", metav1.GetOptions{})
	if err != nil {
		return ""
	}
	message, _, _ := unstructured.NestedString(config.Object, "status", "message")
	return message
}

// exporterMessage says why the exporter's Pods are not ready.
func (c *cluster) exporterMessage(ctx context.Context) string {
	pods, err := c.clients.Typed.CoreV1().Pods(moduleNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err.Error()
	}
	for i := range pods.Items {
		for _, status := range pods.Items[i].Status.ContainerStatuses {
			if status.Name == exporter && status.State.Waiting != nil && status.State.Waiting.Reason != "ContainerCreating" {
				return fmt.Sprintf("Pod %s: %s: %s", pods.Items[i].Name, status.State.Waiting.Reason, status.State.Waiting.Message)
			}
		}
	}
	return ""
}

// exporterLog is the log of a running exporter, else of the operator that should have made one.
func (c *cluster) exporterLog() string {
	for _, p := range c.processes() {
		if p.Name == exporter {
			return p.Log
		}
	}
	return c.operator.log
}
