package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/progress"
)

// joinTimeout bounds the wait until two clusters know each other; one round of
// the module's one-minute schedule has room in it twice.
const joinTimeout = 3 * time.Minute

// usualJoin is how long two clusters take to learn each other's keys.
const usualJoin = 10 * time.Second

// joint is the resource by which two clusters are joined.
type joint struct {
	kind     string
	resource schema.GroupVersionResource
	// done is how a person calls two clusters that it has joined.
	done string
}

var joints = map[Mode]joint{
	Federation:   {"IstioFederation", kube.IstioFederations, "federated with "},
	Multicluster: {"IstioMulticluster", kube.IstioMulticlusters, "in one mesh with "},
}

// isOn tells whether the cluster's settings switch that kind of join on.
func (c *cluster) isOn(kind Mode) bool { return enabled(c.settings, kind) }

// join makes the peer known to the cluster.
func (c *cluster) join(ctx context.Context, kind Mode, peer *cluster, public *pki.Authority) error {
	joint := joints[kind]
	// The module installs it.
	if err := awaitEstablished(ctx, c.clients, joint.resource.GroupResource().String(), moduleTimeout); err != nil {
		return &progress.StepError{Subject: c.plan.name, Step: joint.done + peer.plan.name, Log: c.operator.log, Err: err}
	}
	spec := map[string]any{
		"metadataEndpoint": peer.metadataEndpoint(),
		"metadata":         map[string]any{"ca": string(public.PEM)},
	}
	if kind == Federation {
		spec["trustDomain"] = peer.plan.domain
	}
	err := c.clients.Apply(ctx, joint.resource, map[string]any{
		"apiVersion": joint.resource.GroupVersion().String(), "kind": joint.kind,
		"metadata": map[string]any{"name": peer.plan.name}, "spec": spec,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", c.plan.name, err)
	}
	return nil
}

// awaitJoined waits until the cluster says that it and the peer work together.
func (c *cluster) awaitJoined(ctx context.Context, kind Mode, peer *cluster) error {
	joint := joints[kind]
	return c.reporter.Step(c.plan.name, joint.done+peer.plan.name, c.operator.log, func(note func(string)) error {
		begun := time.Now()
		return poll(ctx, joinTimeout, func(ctx context.Context) (bool, string, error) {
			resource, err := c.clients.Dynamic.Resource(joint.resource).Get(ctx, peer.plan.name, metav1.GetOptions{})
			if err != nil {
				return notYet(err)
			}
			ready, why := isJoined(resource)
			// At first each side is a stranger to the other; that is no news.
			if !ready && time.Since(begun) > usualJoin {
				note(why)
			}
			return ready, why, nil
		})
	})
}

// isJoined reads the resource's Ready condition; why is its reason and message.
func isJoined(resource *unstructured.Unstructured) (ready bool, why string) {
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
