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
	"github.com/deckhouse-mesh/istio/lib/statuspatch"
)

// statusOf writes the status of one resource of deckhouse.io/v1alpha1.
type statusOf struct {
	kind, name string
	uid        types.UID
}

// known is a status as the API server has it.
type known struct {
	status any
	// digest of the lists in it; empty where there are none, or nobody has made one.
	digest string
}

// replace makes the status what it should be. Of what it is the difference is
// written, and only where the lists are those compared with; the
// whole where last is nil. Either way it is never a mixture of two answers.
func (o statusOf) replace(in *sdk.HookInput, last *known, status any) error {
	patch, err := o.replacement(status)
	if err != nil {
		return err
	}
	if last != nil && last.digest != "" {
		if patch, err = o.difference(*last, patch); err != nil {
			return err
		}
	}
	in.PatchCollector.PatchWithJSON(patch, v1alpha1.APIVersion, o.kind, "", o.name,
		objectpatch.WithSubresource("status"), objectpatch.WithIgnoreMissingObject(true))
	return nil
}

// difference is what of a replacement has to be written.
func (o statusOf) difference(last known, whole []statuspatch.Operation) ([]statuspatch.Operation, error) {
	before, err := json.Marshal(last.status)
	if err != nil {
		return nil, fmt.Errorf("encode the last status of %s %q: %w", o.kind, o.name, err)
	}
	changes, err := statuspatch.Diff("/status", before, whole[len(whole)-1].Value, "publicServices", "publicServicesBlocks")
	if err != nil {
		return nil, fmt.Errorf("compare the status of %s %q with the last one: %w", o.kind, o.name, err)
	}
	digest, err := json.Marshal(last.digest)
	if err != nil {
		return nil, fmt.Errorf("encode the digest in the status of %s %q: %w", o.kind, o.name, err)
	}
	return append([]statuspatch.Operation{whole[0], {Op: statuspatch.Test, Path: "/status/metadataCache/private/digest", Value: digest}}, changes...), nil
}

// replacement is a JSON patch for the very object that the status was made for:
// a namesake that replaced it in the meantime is another peer.
func (o statusOf) replacement(status any) ([]statuspatch.Operation, error) {
	uid, err := json.Marshal(o.uid)
	if err != nil {
		return nil, fmt.Errorf("encode the UID of %s %q: %w", o.kind, o.name, err)
	}
	encoded, err := json.Marshal(status)
	if err != nil {
		return nil, fmt.Errorf("encode the status of %s %q: %w", o.kind, o.name, err)
	}
	return []statuspatch.Operation{
		{Op: statuspatch.Test, Path: "/metadata/uid", Value: uid},
		{Op: statuspatch.Add, Path: "/status", Value: encoded},
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
