package hooks

import (
	"encoding/json"
	"fmt"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	objectpatch "github.com/deckhouse/module-sdk/pkg/object-patch"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

// statusOf writes the status of one resource of deckhouse.io/v1alpha1.
type statusOf struct {
	kind, name string
	uid        types.UID
}

// replace sets the status as a whole, so that it is never a mixture of two answers.
func (o statusOf) replace(in *sdk.HookInput, status any) error {
	patch, err := o.replacement(status)
	if err != nil {
		return err
	}
	in.PatchCollector.PatchWithJSON(patch, v1alpha1.APIVersion, o.kind, "", o.name,
		objectpatch.WithSubresource("status"), objectpatch.WithIgnoreMissingObject(true))
	return nil
}

// replacement is a JSON patch for the very object that the status was made for:
// a namesake that replaced it in the meantime is another peer.
func (o statusOf) replacement(status any) ([]map[string]any, error) {
	encoded, err := json.Marshal(status)
	if err != nil {
		return nil, fmt.Errorf("encode the status of %s %q: %w", o.kind, o.name, err)
	}
	return []map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": string(o.uid)},
		{"op": "add", "path": "/status", "value": json.RawMessage(encoded)},
	}, nil
}

// writeContact sets the times alone, not the whole cache: it happens once a minute for every peer.
func (o statusOf) writeContact(in *sdk.HookInput, public, private *metav1.Time) {
	times := map[string]any{}
	if public != nil {
		times["publicLastFetchTimestamp"] = public.UTC().Format(time.RFC3339)
	}
	if private != nil {
		times["privateLastFetchTimestamp"] = private.UTC().Format(time.RFC3339)
	}
	in.PatchCollector.PatchWithMerge(map[string]any{"status": map[string]any{"metadataCache": times}},
		v1alpha1.APIVersion, o.kind, "", o.name, objectpatch.WithSubresource("status"), objectpatch.WithIgnoreMissingObject(true))
}

// sayTransition logs that the join has become ready, or not ready, or not ready
// for another reason, and leaves an Event that says so where people look.
func (o statusOf) sayTransition(in *sdk.HookInput, from, to []metav1.Condition) {
	before, after := meta.FindStatusCondition(from, v1alpha1.ConditionReady), meta.FindStatusCondition(to, v1alpha1.ConditionReady)
	if after == nil || (before != nil && before.Status == after.Status && before.Reason == after.Reason) {
		return
	}
	in.Logger.Info("join changed", "kind", o.kind, "name", o.name, "ready", string(after.Status), "reason", after.Reason, "message", after.Message)
	in.PatchCollector.CreateIfNotExists(o.transitionEvent(after, in.DC.GetClock().Now()))
}

// transitionEvent tells in `kubectl describe` what has become of the join. Each
// transition has an Event of its own; one that is noticed again within a
// minute, because the snapshot was older than the last write, has not.
func (o statusOf) transitionEvent(ready *metav1.Condition, now time.Time) *corev1.Event {
	event := warning(o.kind, o.name, ready.Reason, ready.Message, now)
	if ready.Status == metav1.ConditionTrue {
		event.Type = corev1.EventTypeNormal
	}
	event.InvolvedObject.UID = o.uid
	event.Name += "." + now.UTC().Format("200601021504")
	return event
}
