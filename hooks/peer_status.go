package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/discovery"
	"github.com/deckhouse-mesh/istio/lib/servicelist"
	"github.com/deckhouse-mesh/istio/lib/statuspatch"
)

// statusWriter writes the status of resources for peers, each by itself: one that
// the API server rejects is that resource's failure, and delays no other. So it
// does not go through the PatchCollector, in which it would fail the run for all,
// and after a restart the module's start with it.
type statusWriter struct {
	in     *sdk.HookInput
	client dynamic.Interface
	codec  *servicelist.Codec
	// events limits the Events of each resource; nil does not.
	events transitionLimits
}

// transitionLimits are the limiters of Events about transitions, by the resource's
// UID: a peer whose answers alternate must not fill etcd with Events.
type transitionLimits map[types.UID]*rate.Limiter

// transitionBurst Events are written as they come, and then one a minute.
const transitionBurst = 10

func (l transitionLimits) allow(resource v1alpha1.Peer, now time.Time) bool {
	if l == nil {
		return true
	}
	limiter := l[resource.GetUID()]
	if limiter == nil {
		limiter = rate.NewLimiter(rate.Every(time.Minute), transitionBurst)
		l[resource.GetUID()] = limiter
	}
	return limiter.AllowN(now, 1)
}

func newStatusWriter(in *sdk.HookInput, codec *servicelist.Codec) (statusWriter, error) {
	client, err := in.DC.GetK8sClient()
	if err != nil {
		return statusWriter{}, err
	}
	return statusWriter{in: in, client: client.Dynamic(), codec: codec}, nil
}

// maxPeerBytes of a resource with its spec and its status, encoded. etcd stores
// 1.5 MiB; some of it is for metadata, which others write, too.
const maxPeerBytes = 1_400_000

// write makes the resource's status that of updated, and returns the resource as it
// is then, and whether it wrote. An equal status is not written; of a status that differs in the times of
// contact, only these are. Of another status the difference is written where the
// lists are those compared with, else the whole: it never becomes a mixture of two answers.
//
// current is false when another status may have been written by now than resource has.
func (w statusWriter) write(ctx context.Context, resource, updated v1alpha1.Peer, current bool) (written v1alpha1.Peer, wrote bool, err error) {
	if equality.Semantic.DeepEqual(resource.WholeStatus(), updated.WholeStatus()) {
		return updated, false, nil
	}
	if differOnlyInContact(resource, updated) {
		return updated, true, w.patch(ctx, updated, types.MergePatchType, contactTimes(updated))
	}
	replacement, err := w.replacement(resource, &updated)
	if err != nil {
		return updated, false, err
	}
	// What was too large may have become what is there.
	if equality.Semantic.DeepEqual(resource.WholeStatus(), updated.WholeStatus()) {
		return updated, false, nil
	}
	if err := w.replace(ctx, resource, updated, replacement, current); err != nil {
		return updated, false, err
	}
	w.reportTransition(ctx, resource, updated)
	return updated, true, nil
}

// isTransient is true for a failure that says nothing about the object: the API
// server cannot be reached, or has no time. One object that is too large for
// etcd has the code of an internal error, too.
func isTransient(err error) bool {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		var request *url.Error
		return errors.As(err, &request)
	}
	code := answer.Status().Code
	return (code >= http.StatusInternalServerError || code == http.StatusTooManyRequests || code == http.StatusUnauthorized) &&
		!strings.Contains(err.Error(), "too large")
}

// replacement is the JSON patch that writes the whole status of updated. Where the
// resource would be too large, updated becomes one with what was learned before.
func (w statusWriter) replacement(resource v1alpha1.Peer, updated *v1alpha1.Peer) ([]statuspatch.Operation, error) {
	spec, err := json.Marshal((*updated).PeerSpec())
	if err != nil {
		return nil, fmt.Errorf("encode the spec of %s %q: %w", (*updated).PeerKind(), (*updated).GetName(), err)
	}
	for attempt := 0; ; attempt++ {
		packed, err := packedStatus(w.codec, *updated)
		if err != nil {
			return nil, err
		}
		patch, err := statusReplacement(*updated, packed)
		if err != nil {
			return nil, err
		}
		size := len(spec) + len(patch[len(patch)-1].Value)
		if size <= maxPeerBytes {
			return patch, nil
		}
		if attempt > 0 {
			return nil, fmt.Errorf("%s %q would have %d bytes, more than %d", (*updated).PeerKind(), (*updated).GetName(), size, maxPeerBytes)
		}
		*updated = discovery.TooLarge(resource, *updated, size, maxPeerBytes, w.in.DC.GetClock().Now())
	}
}

// replace writes the difference where that is possible, else the whole.
func (w statusWriter) replace(ctx context.Context, resource, updated v1alpha1.Peer, whole []statuspatch.Operation, current bool) error {
	if digest := cachedDigest(resource); current && digest != "" {
		difference, err := statusDifference(w.codec, resource, digest, whole)
		if err != nil {
			return err
		}
		if err := w.patch(ctx, updated, types.JSONPatchType, difference); err == nil || ctx.Err() != nil {
			return err
		}
		// The status may have other lists by now than those compared with.
	}
	err := w.patch(ctx, updated, types.JSONPatchType, whole)
	if err != nil && w.replaced(ctx, updated) {
		return nil
	}
	return err
}

// replaced is true when a namesake has taken the resource's place.
func (w statusWriter) replaced(ctx context.Context, resource v1alpha1.Peer) bool {
	now, err := w.resources(resource).Get(ctx, resource.GetName(), metav1.GetOptions{})
	return apierrors.IsNotFound(err) || err == nil && now.GetUID() != resource.GetUID()
}

func (w statusWriter) resources(resource v1alpha1.Peer) dynamic.ResourceInterface {
	return w.client.Resource(v1alpha1.GroupVersion.WithResource(strings.ToLower(resource.PeerKind()) + "s"))
}

func (w statusWriter) patch(ctx context.Context, resource v1alpha1.Peer, kind types.PatchType, content any) error {
	body, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("encode the patch of %s %q: %w", resource.PeerKind(), resource.GetName(), err)
	}
	_, err = w.resources(resource).Patch(ctx, resource.GetName(), kind, body, metav1.PatchOptions{}, "status")
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// reportUnwritten says that a status could not be written, in the log and in an Event on the resource.
func (w statusWriter) reportUnwritten(ctx context.Context, resource v1alpha1.Peer, failure error) {
	w.in.Logger.Error("the status of a peer's resource cannot be written; other peers are not affected",
		"kind", resource.PeerKind(), "name", resource.GetName(), "error", failure.Error())
	event := warning(resource.PeerKind(), resource.GetName(), discovery.ReasonStatusNotWritten,
		"The status of this resource cannot be written, and is out of date: "+failure.Error()+". Other peers are not affected; the module tries again by itself.")
	event.InvolvedObject.UID = resource.GetUID()
	report(ctx, w.in, event)
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

// contactTimes is a merge patch of the times alone, not of the whole cache: it is written once a minute for every peer.
func contactTimes(updated v1alpha1.Peer) map[string]any {
	times := map[string]any{}
	for field, contact := range map[string]*metav1.Time{
		"publicLastFetchTimestamp":  updated.PeerCache().PublicLastFetchTimestamp,
		"privateLastFetchTimestamp": updated.PeerCache().PrivateLastFetchTimestamp,
	} {
		if contact != nil {
			times[field] = contact.UTC().Format(time.RFC3339)
		}
	}
	return map[string]any{"status": map[string]any{"metadataCache": times}}
}

// reportTransition logs that the peer has become ready, or not ready, or not ready
// for another reason, and makes an Event of it. A quota of the Event's namespace that is
// used up must not fail the run for all peers.
func (w statusWriter) reportTransition(ctx context.Context, resource, updated v1alpha1.Peer) {
	before := meta.FindStatusCondition(resource.PeerStatus().Conditions, v1alpha1.ConditionReady)
	after := meta.FindStatusCondition(updated.PeerStatus().Conditions, v1alpha1.ConditionReady)
	if after == nil || (before != nil && before.Status == after.Status && before.Reason == after.Reason) {
		return
	}
	w.in.Logger.Info("the readiness of a peer changed", "kind", updated.PeerKind(), "name", updated.GetName(),
		"ready", string(after.Status), "reason", after.Reason, "message", after.Message)
	if now := w.in.DC.GetClock().Now(); w.events.allow(updated, now) {
		report(ctx, w.in, transitionEvent(updated, after, now))
	}
}

// transitionEvent is what `kubectl describe` prints of a transition. Each has an
// Event of its own, unless it is found again within a minute because the
// snapshot was older than the last write.
func transitionEvent(updated v1alpha1.Peer, ready *metav1.Condition, now time.Time) *corev1.Event {
	event := warning(updated.PeerKind(), updated.GetName(), ready.Reason, ready.Message)
	if ready.Status == metav1.ConditionTrue {
		event.Type = corev1.EventTypeNormal
	}
	event.InvolvedObject.UID = updated.GetUID()
	event.Name += "." + now.UTC().Format("200601021504")
	return event
}
