package hooks

import (
	"context"
	"fmt"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	corev1 "k8s.io/api/core/v1"

	"github.com/deckhouse-mesh/istio/lib/ca"
)

// reportRejectedCA sets the metric in every run, zero included.
func reportRejectedCA(ctx context.Context, in *sdk.HookInput, rejection error) {
	if rejection != nil {
		in.Logger.Error("the CA of the settings is rejected, the one in use is retained", "error", rejection.Error())
		report(ctx, in, moduleConfigEvent(caRefusedEventName, fmt.Sprintf("settings rejected, the CA in use is retained: %v", rejection)))
	}
	in.MetricsCollector.Set(caRefusedMetric, gauge(rejection != nil), nil)
}

// reportRotation reports the phase of a rotation, its end, and what became of the request.
func reportRotation(ctx context.Context, in *sdk.HookInput, rotation ca.Rotation, request string) {
	for _, phase := range ca.Phases {
		in.MetricsCollector.Set(caRotationMetric, gauge(phase == rotation.Phase), map[string]string{"phase": string(phase)})
	}
	if message := rotationMessage(rotation); message != "" {
		event := moduleConfigEvent(caRotationEventName, message)
		event.Type = corev1.EventTypeNormal
		report(ctx, in, event)
	}
	switch {
	case request == "":
	case !ca.Request(request).Known():
		in.Logger.Error("the annotation on Secret d8-system/istio-ca has an unknown value", "annotation", caRequestAnnotation, "value", request)
		report(ctx, in, moduleConfigEvent(caRequestEventName, fmt.Sprintf(
			"annotation %s=%.40q on Secret d8-system/istio-ca has an unknown value: use %s, %s or %s",
			caRequestAnnotation, request, ca.Proceed, ca.ProceedNow, ca.Emergency)))
	case rotation.Idle:
		report(ctx, in, moduleConfigEvent(caIdleEventName, idleMessage(rotation, request)))
	case rotation.Deferral != "":
		in.Logger.Info("the annotation on Secret d8-system/istio-ca is deferred, and is followed without another action",
			"annotation", caRequestAnnotation, "value", request, "phase", string(rotation.Phase), "reason", string(rotation.Deferral), "due", dueOf(rotation))
	case rotation.Request == "":
		in.Logger.Info("the annotation on Secret d8-system/istio-ca was followed and is removed",
			"annotation", caRequestAnnotation, "value", request, "phase", string(rotation.Phase))
	}
}

// dueOf is when the phase ends.
func dueOf(rotation ca.Rotation) string {
	if rotation.Due.IsZero() {
		return "unknown"
	}
	return rotation.Due.UTC().Format(time.RFC3339)
}

// rotationMessage says which phase it is, until when, and what a request does to that.
func rotationMessage(rotation ca.Rotation) string {
	applied := "the rotation continues when Secret d8-istio/cacerts has been written: if this lasts for minutes, check whether the module's release can be installed"
	due, request := dueOf(rotation), requestMessage(rotation)
	if rotation.Deferral == ca.NotInstalled {
		applied += "; " + request
	}
	switch {
	case rotation.Phase == ca.Distributing && rotation.Due.IsZero():
		return "the root of the new CA is going to be trusted, the former CA signs; " + applied
	case rotation.Phase == ca.Retiring && rotation.Due.IsZero():
		return "a root will not be needed when another CA signs; " + applied
	case rotation.Phase == ca.Distributing:
		return fmt.Sprintf("the root of the new CA is trusted; the former CA signs until %s, so that every workload receives that root first; %s", due, request)
	case rotation.Phase == ca.Retiring && rotation.Deferral != "":
		return fmt.Sprintf("a root that is no longer needed is trusted until %s; %s", due, request)
	case rotation.Phase == ca.Retiring:
		return fmt.Sprintf("a root that is no longer needed is trusted until %s, when every certificate under it has expired; %s", due, request)
	default:
		return ""
	}
}

// requestMessage says how to end the phase earlier, or why that which was requested does not happen yet.
func requestMessage(rotation ca.Rotation) string {
	annotation := fmt.Sprintf("annotation %s=%s on Secret d8-system/istio-ca is deferred", caRequestAnnotation, rotation.Request)
	until := annotation + " until " + dueOf(rotation)
	switch rotation.Deferral {
	case ca.NotInstalled:
		return annotation + " until Secret d8-istio/cacerts has been written"
	case ca.NotHandedOut:
		return annotation + ": istiod has not written that root into ConfigMap d8-istio/" + ca.RootsConfigMap + "; if this lasts for minutes, check istiod's Pods"
	case ca.RenewingFiles:
		return until + ": kubelets still renew the file with which proxies verify istiod, and a proxy without that root cannot connect to the istiod of the new CA; " +
			"if you have checked that every Pod has it, use " + string(ca.ProceedNow)
	case ca.Settling:
		return until + ": every istiod must have seen both roots before one is dropped"
	}
	if rotation.Phase == ca.Distributing {
		return fmt.Sprintf("annotate Secret d8-system/istio-ca with %s=%s to switch as soon as Pods have the root", caRequestAnnotation, ca.Proceed)
	}
	return fmt.Sprintf("annotate Secret d8-system/istio-ca with %s=%s to drop it earlier", caRequestAnnotation, ca.Proceed)
}

// idleMessage says what becomes of a request that came before its rotation.
func idleMessage(rotation ca.Rotation, request string) string {
	if rotation.Request == "" {
		return fmt.Sprintf("annotation %s=%s on Secret d8-system/istio-ca is removed, no rotation is in progress: set the new CA in the settings first",
			caRequestAnnotation, request)
	}
	return fmt.Sprintf("annotation %s=%s on Secret d8-system/istio-ca waits for a new CA, the present one stays in use: set the new one in the settings, or remove the annotation",
		caRequestAnnotation, rotation.Request)
}
