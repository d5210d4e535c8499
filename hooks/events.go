package hooks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	sdk "github.com/deckhouse/module-sdk/pkg"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/echo"
	"github.com/deckhouse-mesh/istio/lib/names"
)

var eventResource = schema.GroupVersionResource{Version: "v1", Resource: "events"}

// maxEventMessage in bytes, as the API server has it.
const maxEventMessage = 1024

// moduleConfigEvent is a warning on what holds the settings:
// kubectl get events -A --field-selector involvedObject.kind=ModuleConfig.
func moduleConfigEvent(reason, message string) *corev1.Event {
	return warning("ModuleConfig", names.Module(), reason, message)
}

// warning is an Event on a resource of deckhouse.io/v1alpha1, which has no namespace.
func warning(kind, name, reason, message string) *corev1.Event {
	event := objectWarning(corev1.ObjectReference{APIVersion: v1alpha1.APIVersion, Kind: kind, Name: name}, reason, message)
	event.Namespace = metav1.NamespaceDefault
	return event
}

// objectWarning is an Event on an object, in its namespace. Its name follows from
// its content, so an equal warning exists once.
func objectWarning(about corev1.ObjectReference, reason, message string) *corev1.Event {
	message = echo.Text(strings.ReplaceAll(message, "\n", "; "), maxEventMessage)
	sum := sha256.Sum256([]byte(about.Kind + about.Name + string(about.UID) + reason + message))
	return &corev1.Event{
		TypeMeta:       metav1.TypeMeta{APIVersion: "v1", Kind: "Event"},
		ObjectMeta:     metav1.ObjectMeta{Name: "istio." + hex.EncodeToString(sum[:8]), Namespace: about.Namespace},
		InvolvedObject: about,
		Reason:         reason,
		Message:        message,
		Type:           corev1.EventTypeWarning,
		Source:         corev1.EventSource{Component: "istio-module"},
		Count:          1,
	}
}

// report writes the Event of this moment into its namespace, or logs it when that fails. It does
// not use the PatchCollector: there, one object that is rejected (by a quota, an
// admission policy, or because the namespace is being deleted) fails the run for all.
func report(ctx context.Context, in *sdk.HookInput, event *corev1.Event) {
	event.FirstTimestamp = metav1.NewTime(in.DC.GetClock().Now())
	event.LastTimestamp = event.FirstTimestamp
	if err := createEvent(ctx, in, event); err != nil && !apierrors.IsAlreadyExists(err) {
		in.Logger.Warn("cannot write an Event into its namespace", "namespace", event.Namespace,
			"about", event.InvolvedObject.Kind+" "+event.InvolvedObject.Name, "event", event.Message, "error", err.Error())
	}
}

func createEvent(ctx context.Context, in *sdk.HookInput, event *corev1.Event) error {
	client, err := in.DC.GetK8sClient()
	if err != nil {
		return err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(event)
	if err != nil {
		return err
	}
	_, err = client.Dynamic().Resource(eventResource).Namespace(event.Namespace).Create(ctx, &unstructured.Unstructured{Object: content}, metav1.CreateOptions{})
	return err
}
