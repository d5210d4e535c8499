package hooks

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	corev1 "k8s.io/api/core/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

const (
	// caSecret in the operator's namespace keeps the CA while the module is off.
	caSecret = "istio-ca"
	// caTrustKey of it says which roots are trusted besides, and until when, while that matters.
	caTrustKey = "trust.json"
	// caRequestAnnotation of it is where a person hastens a rotation: ca.Request.
	caRequestAnnotation = "istio.deckhouse.io/ca-rotation"

	caPath              = "istio.internal.ca"
	caSettingsPath      = "istio.ca"
	caRefusedMetric     = "d8_istio_ca_setting_refused"
	caRotationMetric    = "d8_istio_ca_rotation"
	caExpiryMetric      = "d8_istio_ca_expiry_timestamp_seconds"
	caRefusedEventName  = "CARefused"
	caRotationEventName = "CARotation"
	caRequestEventName  = "CARotationRequestUnknown"
	caIdleEventName     = "CARotationRequestIdle"
)

// certificateAuthority decides on the mesh's CA: settings ca.*, else the one
// in use, else a new one; and on the way from one to another. Secret cacerts of
// the contract is rendered from it.
func certificateAuthority() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "ca",
		Config: sdk.HookConfig{
			OnBeforeHelm: &sdk.OrderedConfig{Order: 10},
			Queue:        "/modules/istio/ca",
			Kubernetes: []sdk.KubernetesConfig{
				{
					Name:              "kept",
					APIVersion:        "v1",
					Kind:              "Secret",
					NamespaceSelector: inNamespace(operatorNamespace),
					NameSelector:      named(caSecret),
					JqFilter:          `{data: (.data // {}), request: (.metadata.annotations["` + caRequestAnnotation + `"] // "")}`,
				},
				// A phase counts from when Helm has written what begins it.
				secretBinding("installed", v1alpha1.Namespace, "cacerts"),
			},
			// Phases of a rotation end by the clock.
			Schedule: []sdk.ScheduleConfig{{Name: "every_minute", Crontab: "* * * * *"}},
		},
		Run: runCertificateAuthority,
	}
}

// keptCA is what the kept Secret holds.
type keptCA struct {
	Data    secretData `json:"data"`
	Request string     `json:"request"`
}

func runCertificateAuthority(_ context.Context, in *sdk.HookInput) error {
	var configured ca.Bundle
	if err := settings(in, caSettingsPath, &configured); err != nil {
		return err
	}
	found, err := snapshot[keptCA](in, "kept")
	if err != nil {
		return err
	}
	shown := len(found) > 0
	var kept keptCA
	if shown {
		kept = found[0]
	}
	installedData, err := secret(in, "installed")
	if err != nil {
		return err
	}
	installed := caFromSecret(installedData)
	current, recorded, err := currentCA(in, caFromSecret(kept.Data), installed)
	if err != nil {
		return err
	}
	this, err := self(in)
	if err != nil {
		return err
	}
	now := in.DC.GetClock().Now().UTC().Truncate(time.Second)
	choice, err := ca.Choose(configured, current, this.TrustDomain, now)
	if err != nil {
		return err
	}
	reportRefusedCA(in, choice.Rejected)
	if choice.Generated {
		in.Logger.Info("a CA was generated", "trustDomain", this.TrustDomain)
	}

	state := ca.State{Signing: current}
	switch text := kept.Data[caTrustKey]; {
	case current.Cert == "" || current.Key == "":
		state = ca.State{} // nothing signs yet
	case !recorded:
		state.Trust = ca.Recall(current, current.Root, now)
	case len(text) > 0:
		if err := json.Unmarshal(text, &state.Trust); err != nil {
			in.Logger.Error("the trusted roots in Secret d8-system/istio-ca cannot be read, those of Secret d8-istio/cacerts stand in", "error", err.Error())
			state.Trust = ca.Recall(current, installed.Root, now)
		}
	}
	rotation := ca.Rotate(state, installed, choice.Bundle, ca.Request(kept.Request), now)
	reportRotation(in, rotation, kept.Request)

	wanted, err := keptFrom(rotation, kept.Request)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(kept, wanted) {
		keepCA(in, shown, kept, wanted)
	}
	inForce := rotation.Signing
	inForce.Root = rotation.Trusted()
	in.Values.Set(caPath, inForce)
	in.MetricsCollector.Set(caExpiryMetric, float64(rotation.Signing.Expires().Unix()), nil)
	return nil
}

// reportRefusedCA sets the metric in every run, zero included.
func reportRefusedCA(in *sdk.HookInput, refused error) {
	value := 0.0
	if refused != nil {
		value = 1
		in.Logger.Error("the CA of the settings is refused, the one in use stays", "error", refused.Error())
		in.PatchCollector.CreateIfNotExists(moduleConfigEvent(caRefusedEventName,
			fmt.Sprintf("settings refused, the CA in use stays: %v", refused), in.DC.GetClock().Now()))
	}
	in.MetricsCollector.Set(caRefusedMetric, value, nil)
}

// reportRotation says which phase a rotation is in, until when, and what became of the request.
func reportRotation(in *sdk.HookInput, rotation ca.Rotation, request string) {
	for _, phase := range ca.Phases {
		value := 0.0
		if phase == rotation.Phase {
			value = 1
		}
		in.MetricsCollector.Set(caRotationMetric, value, map[string]string{"phase": string(phase)})
	}
	now := in.DC.GetClock().Now()
	if message := rotationMessage(rotation); message != "" {
		event := moduleConfigEvent(caRotationEventName, message, now)
		event.Type = corev1.EventTypeNormal
		in.PatchCollector.CreateIfNotExists(event)
	}
	switch {
	case request == "":
	case !ca.Request(request).Known():
		in.Logger.Error("an annotation on Secret d8-system/istio-ca means nothing", "annotation", caRequestAnnotation, "value", request)
		in.PatchCollector.CreateIfNotExists(moduleConfigEvent(caRequestEventName, fmt.Sprintf(
			"annotation %s=%.40q on Secret d8-system/istio-ca means nothing: use %s or %s", caRequestAnnotation, request, ca.Proceed, ca.Emergency), now))
	case rotation.Idle:
		in.PatchCollector.CreateIfNotExists(moduleConfigEvent(caIdleEventName, idleMessage(rotation), now))
	case rotation.Request == "":
		in.Logger.Info("the annotation on Secret d8-system/istio-ca was followed and is removed",
			"annotation", caRequestAnnotation, "value", request, "phase", string(rotation.Phase))
	}
}

func rotationMessage(rotation ca.Rotation) string {
	const applied = "nothing goes on before Secret d8-istio/cacerts says so: if this lasts for minutes, see whether the module's release can be installed"
	due := rotation.Due.UTC().Format(time.RFC3339)
	switch {
	case rotation.Phase == ca.Distributing && rotation.Due.IsZero():
		return "the root of the new CA is to be trusted, the former CA signs; " + applied
	case rotation.Phase == ca.Retiring && rotation.Due.IsZero():
		return "a root is not needed any more when another CA signs; " + applied
	case rotation.Phase == ca.Distributing:
		return fmt.Sprintf("the root of the new CA is trusted, the former CA signs until %s so that everybody gets it; "+
			"annotate Secret d8-system/istio-ca with %s=%s to switch now", due, caRequestAnnotation, ca.Proceed)
	case rotation.Phase == ca.Retiring:
		return fmt.Sprintf("a root that is not needed any more is trusted until %s, when every certificate under it has expired; "+
			"annotate Secret d8-system/istio-ca with %s=%s to drop it now", due, caRequestAnnotation, ca.Proceed)
	default:
		return ""
	}
}

// idleMessage tells what becomes of a request that came before its rotation.
func idleMessage(rotation ca.Rotation) string {
	if rotation.Request == "" {
		return fmt.Sprintf("annotation %s=%s on Secret d8-system/istio-ca is removed, there is nothing to hasten: set the new CA in the settings first",
			caRequestAnnotation, ca.Proceed)
	}
	return fmt.Sprintf("annotation %s=%s on Secret d8-system/istio-ca waits for a new CA, the present one stays in use: set the new one in the settings, or remove the annotation",
		caRequestAnnotation, rotation.Request)
}

// currentCA returns the CA in use: from the kept Secret, from the values, or
// from a Secret cacerts that was there before this module was. The kept one goes
// before the values, which may hold one that was generated when the kept one was
// not to be seen yet; but one that is not sound displaces nothing. recorded is
// false when it is not the kept one: then its roots are all that is trusted.
func currentCA(in *sdk.HookInput, kept, installed ca.Bundle) (current ca.Bundle, recorded bool, err error) {
	if err := settings(in, caPath, &current); err != nil {
		return current, false, err
	}
	now := in.DC.GetClock().Now()
	same := kept.Cert != "" && current.Cert == kept.Cert && current.Key == kept.Key
	keptIsSound, currentIsSound := kept.Check(now) == nil, current.Check(now) == nil
	if keptIsSound || same && !currentIsSound {
		return kept, true, nil
	}
	for _, candidate := range []ca.Bundle{kept, installed} {
		if current.Cert == "" || current.Key == "" {
			current, recorded = candidate, candidate == kept
		}
	}
	return current, recorded, nil
}

// keptFrom is what is to be kept of rotation. A request that means nothing stays, for its author to correct.
func keptFrom(rotation ca.Rotation, request string) (keptCA, error) {
	kept := keptCA{Data: caSecretData(rotation.Signing), Request: string(rotation.Request)}
	if !ca.Request(request).Known() {
		kept.Request = request
	}
	if !rotation.Settled() {
		text, err := json.Marshal(rotation.Trust)
		if err != nil {
			return kept, fmt.Errorf("encode the trusted roots: %w", err)
		}
		kept.Data[caTrustKey] = text
	}
	return kept, nil
}

// keepCA is keep for the CA. It leaves alone what it does not mean to change: a
// request that a person makes at this moment must not be lost.
func keepCA(in *sdk.HookInput, shown bool, present, wanted keptCA) {
	if !shown {
		keep(in, shown, caSecret, wanted.Data)
		return
	}
	data := map[string]any{}
	for key := range present.Data {
		data[key] = nil
	}
	for key, value := range wanted.Data {
		data[key] = value
	}
	patch := map[string]any{"data": data}
	if present.Request != "" && wanted.Request == "" {
		patch["metadata"] = map[string]any{"annotations": map[string]any{caRequestAnnotation: nil}}
	}
	in.PatchCollector.PatchWithMerge(patch, "v1", "Secret", operatorNamespace, caSecret)
}

// caFromSecret reads the keys that istiod expects in a Secret cacerts.
func caFromSecret(data secretData) ca.Bundle {
	return ca.Bundle{
		Cert:  string(data["ca-cert.pem"]),
		Key:   string(data["ca-key.pem"]),
		Chain: string(data["cert-chain.pem"]),
		Root:  string(data["root-cert.pem"]),
	}
}

func caSecretData(bundle ca.Bundle) secretData {
	return secretData{
		"ca-cert.pem":    []byte(bundle.Cert),
		"ca-key.pem":     []byte(bundle.Key),
		"cert-chain.pem": []byte(bundle.Chain),
		"root-cert.pem":  []byte(bundle.Root),
	}
}
