package hooks

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"

	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
)

const (
	// caSecret in the operator's namespace stores the CA, also while the module is off.
	caSecret = "istio-ca"
	// caTrustKey of it lists which other roots are trusted, and until when, during a rotation.
	caTrustKey = "trust.json"
	// caRequestAnnotation of it is where a person accelerates a rotation: ca.Request.
	caRequestAnnotation = "istio.deckhouse.io/ca-rotation"

	caRefusedMetric     = "d8_istio_ca_setting_refused"
	caRotationMetric    = "d8_istio_ca_rotation"
	caExpiryMetric      = "d8_istio_ca_expiry_timestamp_seconds"
	caRefusedEventName  = "CARefused"
	caRotationEventName = "CARotation"
	caRequestEventName  = "CARotationRequestUnknown"
	caIdleEventName     = "CARotationRequestIdle"
)

var (
	caPath         = names.ValuesPath("internal.ca")
	caSettingsPath = names.ValuesPath("ca")
)

// certificateAuthority decides on the mesh's CA: settings ca.*, else the one
// in use, else a new one; and on the steps from one to another. Secret cacerts of
// the contract is rendered from it.
func certificateAuthority() hookruntime.Hook {
	stored := secretBinding("stored", names.OperatorNamespace, caSecret)
	stored.JqFilter = `{data: (.data // {}), request: (.metadata.annotations["` + caRequestAnnotation + `"] // "")}`
	return hookruntime.Hook{
		Name: "ca",
		Config: sdk.HookConfig{
			OnBeforeHelm: at(orderFacts),
			Queue:        "/modules/istio/ca",
			Kubernetes: []sdk.KubernetesConfig{
				stored,
				// A phase begins when Helm has written it.
				secretBinding("installed", names.Namespace, "cacerts"),
				// Pods get it in a file. istiod writes one of these into each namespace, so the module's own stands for all.
				configMapBinding("handed_out", ca.RootsConfigMap, `.data["root-cert.pem"] // ""`),
			},
			// Phases of a rotation end by the clock.
			Schedule: []sdk.ScheduleConfig{everyMinute},
		},
		Run: runCertificateAuthority,
	}
}

// storedCA is what Secret d8-system/istio-ca holds.
type storedCA struct {
	Data    secretData `json:"data"`
	Request string     `json:"request"`
}

func runCertificateAuthority(ctx context.Context, in *sdk.HookInput) error {
	var configured ca.Bundle
	if err := settings(in, caSettingsPath, &configured); err != nil {
		return err
	}
	stored, inSnapshot, err := only[storedCA](in, "stored")
	if err != nil {
		return err
	}
	installedData, err := secret(in, "installed")
	if err != nil {
		return err
	}
	handedOut, _, err := only[string](in, "handed_out")
	if err != nil {
		return err
	}
	installed := caFromSecret(installedData)
	current, recorded, err := currentCA(in, caFromSecret(stored.Data), installed)
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
	reportRejectedCA(ctx, in, choice.Rejected)
	if choice.Generated {
		in.Logger.Info("generated a CA", "trustDomain", this.TrustDomain)
	}

	state := ca.State{Signing: current}
	switch text := stored.Data[caTrustKey]; {
	case current.Cert == "" || current.Key == "":
		state = ca.State{} // nothing signs yet
	case !recorded:
		state.Trust = ca.Recall(current, current.Root, now)
	case len(text) > 0:
		if err := json.Unmarshal(text, &state.Trust); err != nil {
			in.Logger.Error("cannot read the trusted roots in Secret d8-system/istio-ca, those of Secret d8-istio/cacerts are used instead", "error", err.Error())
			state.Trust = ca.Recall(current, installed.Root, now)
		}
	}
	seen := ca.Seen{Installed: installed, HandedOut: handedOut}
	rotation := ca.Rotate(state, seen, choice.Bundle, ca.Request(stored.Request), now)
	reportRotation(ctx, in, rotation, stored.Request)

	wanted, err := storedFrom(rotation, stored.Request)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(stored, wanted) {
		storeCA(in, inSnapshot, stored, wanted)
	}
	inForce := rotation.Signing
	inForce.Root = rotation.Trusted()
	in.Values.Set(caPath, inForce)
	in.MetricsCollector.Set(caExpiryMetric, float64(rotation.Signing.Expires().Unix()), nil)
	return nil
}

// currentCA returns the CA in use: from the stored Secret, from the values, or
// from a Secret cacerts that existed before this module. The stored CA has
// precedence over the values, which may hold one that was generated before the
// snapshot had the stored one; an invalid CA replaces nothing. recorded is
// false when it is not the stored CA: then only its own roots are trusted.
func currentCA(in *sdk.HookInput, stored, installed ca.Bundle) (current ca.Bundle, recorded bool, err error) {
	if err := settings(in, caPath, &current); err != nil {
		return current, false, err
	}
	now := in.DC.GetClock().Now()
	same := stored.Cert != "" && current.Cert == stored.Cert && current.Key == stored.Key
	storedIsValid, currentIsValid := stored.Check(now) == nil, current.Check(now) == nil
	if storedIsValid || same && !currentIsValid {
		return stored, true, nil
	}
	for _, candidate := range []ca.Bundle{stored, installed} {
		if current.Cert == "" || current.Key == "" {
			current, recorded = candidate, candidate == stored
		}
	}
	return current, recorded, nil
}

// storedFrom is what is stored of a rotation. An unknown request stays, for its author to correct.
func storedFrom(rotation ca.Rotation, request string) (storedCA, error) {
	stored := storedCA{Data: caSecretData(rotation.Signing), Request: string(rotation.Request)}
	if !ca.Request(request).Known() {
		stored.Request = request
	}
	if !rotation.Settled() {
		text, err := json.Marshal(rotation.Trust)
		if err != nil {
			return stored, fmt.Errorf("encode the trusted roots: %w", err)
		}
		stored.Data[caTrustKey] = text
	}
	return stored, nil
}

// storeCA is storeSecret for the CA. It writes only what it changes: a request that
// a person makes at this moment must not be lost.
func storeCA(in *sdk.HookInput, inSnapshot bool, present, wanted storedCA) {
	if !inSnapshot {
		storeSecret(in, inSnapshot, caSecret, wanted.Data)
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
	in.PatchCollector.PatchWithMerge(patch, "v1", "Secret", names.OperatorNamespace, caSecret)
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
