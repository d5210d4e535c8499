package hooks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/deckhouse-mesh/istio/lib/echo"
)

// Hooks write into people's namespaces without the PatchCollector, in which one
// object that is rejected (by a quota, an admission policy, or because the
// namespace is being deleted) fails the run for all.

var eventResource = schema.GroupVersionResource{Version: "v1", Resource: "events"}

// maxEventMessage in bytes, as the API server has it.
const maxEventMessage = 1024

// objectWarning is an Event about an object in a namespace. Its name follows
// from its content, so an equal warning exists once.
func objectWarning(about corev1.ObjectReference, reason, message string, now time.Time) *corev1.Event {
	message = echo.Text(message, maxEventMessage)
	sum := sha256.Sum256([]byte(about.Kind + about.Name + string(about.UID) + reason + message))
	stamp := metav1.NewTime(now)
	return &corev1.Event{
		TypeMeta:       metav1.TypeMeta{APIVersion: "v1", Kind: "Event"},
		ObjectMeta:     metav1.ObjectMeta{Name: "istio." + hex.EncodeToString(sum[:8]), Namespace: about.Namespace},
		InvolvedObject: about,
		Reason:         reason,
		Message:        message,
		Type:           corev1.EventTypeWarning,
		Source:         corev1.EventSource{Component: "istio-module"},
		FirstTimestamp: stamp, LastTimestamp: stamp, Count: 1,
	}
}

// reportInNamespace writes the Event. Where that is not possible the log has it.
func reportInNamespace(ctx context.Context, in *sdk.HookInput, client dynamic.Interface, event *corev1.Event) {
	err := createObject(ctx, client.Resource(eventResource).Namespace(event.Namespace), event)
	if err != nil && !apierrors.IsAlreadyExists(err) {
		in.Logger.Warn("cannot write an Event into its namespace", "namespace", event.Namespace,
			"about", event.InvolvedObject.Kind+" "+event.InvolvedObject.Name, "event", event.Message, "error", err.Error())
	}
}

func createObject(ctx context.Context, client dynamic.ResourceInterface, object runtime.Object) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return err
	}
	_, err = client.Create(ctx, &unstructured.Unstructured{Object: content}, metav1.CreateOptions{})
	return err
}

func mergeInto(ctx context.Context, client dynamic.ResourceInterface, name string, change map[string]any) error {
	patch, err := json.Marshal(change)
	if err != nil {
		return err
	}
	_, err = client.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}
