package hooks

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// keptSecret is a Secret in the operator's namespace that outlives the module.
func keptSecret(name string, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: operatorNamespace,
			Labels: map[string]string{"heritage": "deckhouse", "module": "istio"},
		},
		Type: corev1.SecretTypeOpaque,
		Data: data,
	}
}

// keep stores data in a kept Secret. One that the snapshot did not show is only
// created: should it be there after all, because the snapshot was late, then it
// holds the cluster's identity, and the next run takes that.
func keep(in *sdk.HookInput, shown bool, name string, data map[string][]byte) {
	if shown {
		in.PatchCollector.CreateOrUpdate(keptSecret(name, data))
	} else {
		in.PatchCollector.CreateIfNotExists(keptSecret(name, data))
	}
}

// moduleConfigEvent is a warning where the person who set something looks:
// kubectl get events -A --field-selector involvedObject.kind=ModuleConfig.
func moduleConfigEvent(reason, message string, now time.Time) *corev1.Event {
	return warning("ModuleConfig", "istio", reason, message, now)
}

// warning is an Event on a resource of deckhouse.io/v1alpha1. Its name follows
// from its content, so the same warning is there once.
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
