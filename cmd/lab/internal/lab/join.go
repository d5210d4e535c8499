package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/progress"
)

// joinTimeout bounds the wait until two clusters know each other; one round of
// the module's one-minute schedule has room in it twice.
const joinTimeout = 3 * time.Minute

// usualJoin is how long two clusters take to learn each other's keys.
const usualJoin = 10 * time.Second

// federationCRD is installed by the module.
const federationCRD = "istiofederations.deckhouse.io"

// federate makes the peer known to the cluster.
func (c *cluster) federate(ctx context.Context, peer *cluster, public *pki.Authority) error {
	if err := awaitEstablished(ctx, c.clients, federationCRD, moduleTimeout); err != nil {
		return &progress.StepError{Subject: c.plan.name, Step: "federated with " + peer.plan.name, Log: c.operator.log, Err: err}
	}
	err := c.clients.Apply(ctx, kube.IstioFederations, map[string]any{
		"apiVersion": "deckhouse.io/v1alpha1", "kind": "IstioFederation",
		"metadata": map[string]any{"name": peer.plan.name},
		"spec": map[string]any{
			"trustDomain":      peer.plan.domain,
			"metadataEndpoint": peer.metadataEndpoint(),
			"metadata":         map[string]any{"ca": string(public.PEM)},
		},
	})
	if err != nil {
		return fmt.Errorf("%s: %w", c.plan.name, err)
	}
	return nil
}

// awaitFederated waits until the cluster says that it and the peer work together.
func (c *cluster) awaitFederated(ctx context.Context, peer *cluster) error {
	return c.reporter.Step(c.plan.name, "federated with "+peer.plan.name, c.operator.log, func(note func(string)) error {
		begun := time.Now()
		return poll(ctx, joinTimeout, func(ctx context.Context) (bool, string, error) {
			resource, err := c.clients.Dynamic.Resource(kube.IstioFederations).Get(ctx, peer.plan.name, metav1.GetOptions{})
			if err != nil {
				return notYet(err)
			}
			ready, why := federationReady(resource)
			// At first each side is a stranger to the other; that is no news.
			if !ready && time.Since(begun) > usualJoin {
				note(why)
			}
			return ready, why, nil
		})
	})
}

// federationReady reads the resource's Ready condition; why is its reason and message.
func federationReady(resource *unstructured.Unstructured) (ready bool, why string) {
	condition, found := kube.Condition(resource, "Ready")
	if !found {
		return false, "the resource has no condition yet"
	}
	why = kube.String(condition, "reason") + ": " + kube.String(condition, "message")
	return kube.String(condition, "status") == "True", why
}

// withLog names the log of a failed step anew, for logs that begin to exist during the step.
func withLog(err error, log string) error {
	var step *progress.StepError
	if errors.As(err, &step) {
		step.Log = log
	}
	return err
}
