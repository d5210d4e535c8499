package hooks

import (
	"encoding/json"
	"fmt"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	objectpatch "github.com/deckhouse/module-sdk/pkg/object-patch"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/servicelist"
	"github.com/deckhouse-mesh/istio/lib/statuspatch"
)

// writeStatus makes the resource's status that of updated, and returns whether it
// wrote. An equal status is not written; of a status that differs in the times of
// contact, only these are. Of another status the difference is written where the
// lists are those compared with, else the whole: it never becomes a mixture of two answers.
//
// current is false when another status may have been written by now than resource has.
func writeStatus(in *sdk.HookInput, codec *servicelist.Codec, resource, updated v1alpha1.Peer, current bool) (wrote bool, err error) {
	if equality.Semantic.DeepEqual(resource.WholeStatus(), updated.WholeStatus()) {
		return false, nil
	}
	if differOnlyInContact(resource, updated) {
		writeContact(in, updated)
		return true, nil
	}
	packed, err := packedStatus(codec, updated)
	if err != nil {
		return false, err
	}
	patch, err := statusReplacement(updated, packed)
	if err != nil {
		return false, err
	}
	if digest := cachedDigest(resource); current && digest != "" {
		if patch, err = statusDifference(codec, resource, digest, patch); err != nil {
			return false, err
		}
	}
	in.PatchCollector.PatchWithJSON(patch, v1alpha1.APIVersion, updated.PeerKind(), "", updated.GetName(),
		objectpatch.WithSubresource("status"), objectpatch.WithIgnoreMissingObject(true))
	reportTransition(in, resource, updated)
	return true, nil
}

func differOnlyInContact(resource, updated v1alpha1.Peer) bool {
	contacted := resource.ShallowCopy()
	contacted.PeerCache().PublicLastFetchTimestamp = updated.PeerCache().PublicLastFetchTimestamp
	contacted.PeerCache().PrivateLastFetchTimestamp = updated.PeerCache().PrivateLastFetchTimestamp
	return equality.Semantic.DeepEqual(contacted.WholeStatus(), updated.WholeStatus())
}

// packedStatus is a status as it is written.
func packedStatus(codec *servicelist.Codec, resource v1alpha1.Peer) (any, error) {
	if federation, ok := resource.(*v1alpha1.IstioFederation); ok {
		return codec.PackStatus(federation.Status)
	}
	return resource.WholeStatus(), nil
}

// cachedDigest is that of the lists in the status; empty where there are none, or the status has no digest of them.
func cachedDigest(resource v1alpha1.Peer) string {
	federation, ok := resource.(*v1alpha1.IstioFederation)
	if !ok || federation.Status.MetadataCache.Private == nil {
		return ""
	}
	return federation.Status.MetadataCache.Private.Digest
}

// statusReplacement is a JSON patch for the very resource that the status was made for:
// a namesake that replaced it in the meantime is for another peer.
func statusReplacement(updated v1alpha1.Peer, status any) ([]statuspatch.Operation, error) {
	uid, err := json.Marshal(updated.GetUID())
	if err != nil {
		return nil, fmt.Errorf("encode the UID of %s %q: %w", updated.PeerKind(), updated.GetName(), err)
	}
	encoded, err := json.Marshal(status)
	if err != nil {
		return nil, fmt.Errorf("encode the status of %s %q: %w", updated.PeerKind(), updated.GetName(), err)
	}
	return []statuspatch.Operation{
		{Op: statuspatch.Test, Path: "/metadata/uid", Value: uid},
		{Op: statuspatch.Add, Path: "/status", Value: encoded},
	}, nil
}

// statusDifference is what of a replacement has to be written to the status of the resource, whose lists have the digest.
func statusDifference(codec *servicelist.Codec, resource v1alpha1.Peer, digest string, replacement []statuspatch.Operation) ([]statuspatch.Operation, error) {
	packed, err := packedStatus(codec, resource)
	if err != nil {
		return nil, err
	}
	before, err := json.Marshal(packed)
	if err != nil {
		return nil, fmt.Errorf("encode the last status of %s %q: %w", resource.PeerKind(), resource.GetName(), err)
	}
	changes, err := statuspatch.Diff("/status", before, replacement[len(replacement)-1].Value, "publicServices", "publicServicesBlocks")
	if err != nil {
		return nil, fmt.Errorf("compare the status of %s %q with the last one: %w", resource.PeerKind(), resource.GetName(), err)
	}
	compared, err := json.Marshal(digest)
	if err != nil {
		return nil, fmt.Errorf("encode the digest in the status of %s %q: %w", resource.PeerKind(), resource.GetName(), err)
	}
	return append([]statuspatch.Operation{replacement[0], {Op: statuspatch.Test, Path: "/status/metadataCache/private/digest", Value: compared}}, changes...), nil
}

// writeContact sets the times alone, not the whole cache: it happens once a minute for every peer.
func writeContact(in *sdk.HookInput, updated v1alpha1.Peer) {
	times := map[string]any{}
	for field, contact := range map[string]*metav1.Time{
		"publicLastFetchTimestamp":  updated.PeerCache().PublicLastFetchTimestamp,
		"privateLastFetchTimestamp": updated.PeerCache().PrivateLastFetchTimestamp,
	} {
		if contact != nil {
			times[field] = contact.UTC().Format(time.RFC3339)
		}
	}
	in.PatchCollector.PatchWithMerge(map[string]any{"status": map[string]any{"metadataCache": times}},
		v1alpha1.APIVersion, updated.PeerKind(), "", updated.GetName(), objectpatch.WithSubresource("status"), objectpatch.WithIgnoreMissingObject(true))
}

// reportTransition logs that the peer has become ready, or not ready, or not ready
// for another reason, and makes an Event of it.
func reportTransition(in *sdk.HookInput, resource, updated v1alpha1.Peer) {
	before := meta.FindStatusCondition(resource.PeerStatus().Conditions, v1alpha1.ConditionReady)
	after := meta.FindStatusCondition(updated.PeerStatus().Conditions, v1alpha1.ConditionReady)
	if after == nil || (before != nil && before.Status == after.Status && before.Reason == after.Reason) {
		return
	}
	in.Logger.Info("the readiness of a peer changed", "kind", updated.PeerKind(), "name", updated.GetName(),
		"ready", string(after.Status), "reason", after.Reason, "message", after.Message)
	in.PatchCollector.CreateIfNotExists(transitionEvent(updated, after, in.DC.GetClock().Now()))
}

// transitionEvent is what `kubectl describe` prints of a transition. Each has an
// Event of its own, unless it is found again within a minute because the
// snapshot was older than the last write.
func transitionEvent(updated v1alpha1.Peer, ready *metav1.Condition, now time.Time) *corev1.Event {
	event := warning(updated.PeerKind(), updated.GetName(), ready.Reason, ready.Message, now)
	if ready.Status == metav1.ConditionTrue {
		event.Type = corev1.EventTypeNormal
	}
	event.InvolvedObject.UID = updated.GetUID()
	event.Name += "." + now.UTC().Format("200601021504")
	return event
}
