package lab

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/istiod"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kubelet"
)

// defaultInjector is the webhook for namespaces that name no revision. The
// module registers it when the istiod behind it is ready.
const defaultInjector = "istio-revision-tag-default"

// awaitMesh waits until istiod of every installed revision is ready and its webhooks are registered.
func (c *cluster) awaitMesh(ctx context.Context) error {
	var seen rollout
	err := c.reporter.Step(c.plan.name, "istiod ready", c.operator.log, func(note func(string)) error {
		return poll(ctx, moduleTimeout, func(ctx context.Context) (bool, string, error) {
			seen = c.rollout(ctx)
			if seen.missing == "" || seen.vain != nil {
				return seen.vain == nil, "", seen.vain
			}
			if message := c.moduleMessage(ctx); message != "" {
				seen.missing = "ModuleConfig istio says: " + message
				if seen.vain = refusal(message); seen.vain == nil {
					note(seen.missing)
				}
			}
			return false, seen.missing, seen.vain
		})
	})
	switch {
	case seen.vain != nil: // what runs has nothing to say about it
		return withLog(err, "")
	case err != nil:
		return withLog(err, c.istiodLog())
	}
	step := "webhooks of istiod " + strings.Join(seen.revisions, ", ") + " registered"
	return c.reporter.Step(c.plan.name, step, c.operator.log, func(func(string)) error {
		return poll(ctx, moduleTimeout, func(ctx context.Context) (bool, string, error) {
			missing := c.missingWebhook(ctx, seen.revisions)
			return missing == "", missing, nil
		})
	})
}

// rollout of istiod, of all its revisions.
type rollout struct {
	revisions []string
	// missing says what is not ready yet, empty when everything is.
	missing string
	// vain is why waiting for it is in vain, nil when it is not.
	vain error
}

func (c *cluster) rollout(ctx context.Context) rollout {
	var seen rollout
	options := metav1.ListOptions{LabelSelector: istiod.Selector}
	deployments, err := c.clients.Typed.AppsV1().Deployments(moduleNamespace).List(ctx, options)
	if err != nil {
		return rollout{missing: err.Error()}
	}
	if len(deployments.Items) == 0 {
		return rollout{missing: "the module has installed no istiod"}
	}
	for i := range deployments.Items {
		deployment := &deployments.Items[i]
		seen.revisions = append(seen.revisions, deployment.Labels[istiod.RevisionLabel])
		if !isRolledOut(deployment) {
			seen.missing = fmt.Sprintf("%d of %d Pods of Deployment %s are ready", deployment.Status.ReadyReplicas, wantedReplicas(deployment), deployment.Name)
		}
	}
	if seen.missing == "" {
		return seen
	}
	pods, err := c.clients.Typed.CoreV1().Pods(moduleNamespace).List(ctx, options)
	if err != nil {
		return rollout{missing: err.Error()}
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.Status.Reason == kubelet.NotInLab {
			seen.vain = fmt.Errorf("istiod cannot run: Pod %s: %s", pod.Name, pod.Status.Message)
		}
		if why := notReady(pod); why != "" {
			seen.missing += "; Pod " + pod.Name + ": " + why
		}
	}
	return seen
}

func wantedReplicas(deployment *appsv1.Deployment) int32 {
	if deployment.Spec.Replicas == nil {
		return 1
	}
	return *deployment.Spec.Replicas
}

func isRolledOut(deployment *appsv1.Deployment) bool {
	status, wanted := deployment.Status, wantedReplicas(deployment)
	return status.ObservedGeneration >= deployment.Generation && status.ReadyReplicas >= wanted && status.UpdatedReplicas >= wanted
}

// notReady is why the Pod is not ready, as its condition says.
func notReady(pod *corev1.Pod) string {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady && condition.Status != corev1.ConditionTrue {
			return condition.Message
		}
	}
	return ""
}

// missingWebhook names a webhook that istiod of the revisions should be called by and is not.
func (c *cluster) missingWebhook(ctx context.Context, revisions []string) string {
	admission := c.clients.Typed.AdmissionregistrationV1()
	mutating := []string{defaultInjector}
	for _, revision := range revisions {
		mutating = append(mutating, "istio-sidecar-injector-"+revision+"-"+moduleNamespace)
		validator := "istio-validator-" + revision + "-" + moduleNamespace
		_, err := admission.ValidatingWebhookConfigurations().Get(ctx, validator, metav1.GetOptions{})
		if err != nil {
			return missingObject(err, "ValidatingWebhookConfiguration", validator)
		}
	}
	for _, name := range mutating {
		if _, err := admission.MutatingWebhookConfigurations().Get(ctx, name, metav1.GetOptions{}); err != nil {
			return missingObject(err, "MutatingWebhookConfiguration", name)
		}
	}
	return ""
}

func missingObject(err error, kind, name string) string {
	if apierrors.IsNotFound(err) {
		return fmt.Sprintf("there is no %s %s", kind, name)
	}
	return err.Error()
}

// istiodLog is the log of a running istiod, else of the operator that should have made one.
func (c *cluster) istiodLog() string {
	for _, p := range c.processes() {
		if strings.HasPrefix(p.Name, istiod.Prefix) {
			return p.Log
		}
	}
	return c.operator.log
}
