package hooks

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// moduleConfigEvent is a warning on what holds the settings:
// kubectl get events -A --field-selector involvedObject.kind=ModuleConfig.
func moduleConfigEvent(reason, message string, now time.Time) *corev1.Event {
	return warning("ModuleConfig", "istio", reason, message, now)
}

// warning is an Event on a resource of deckhouse.io/v1alpha1. Its name follows
// from its content, so an equal warning exists once.
func warning(kind, name, reason, message string, now time.Time) *corev1.Event {
	sum := sha256.Sum256([]byte(kind + name + reason + message))
	stamp := metav1.NewTime(now)
	return &corev1.Event{
		TypeMeta:       metav1.TypeMeta{APIVersion: "v1", Kind: "Event"},
		ObjectMeta:     metav1.ObjectMeta{Name: "istio." + hex.EncodeToString(sum[:8]), Namespace: metav1.NamespaceDefault},
		InvolvedObject: corev1.ObjectReference{APIVersion: v1alpha1.APIVersion, Kind: kind, Name: name},
		Reason:         reason,
		Message:        message[:min(len(message), 1024)],
		Type:           corev1.EventTypeWarning,
		Source:         corev1.EventSource{Component: "istio-module"},
		FirstTimestamp: stamp, LastTimestamp: stamp, Count: 1,
	}
}
