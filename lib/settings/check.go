// Package settings checks the values that a person set in ModuleConfig istio, as
// far as the schema in openapi/ cannot: a rule that CEL can express stands there.
package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/certs"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// checked is the part of spec.settings that has rules beyond the schema's.
type checked struct {
	scheduling
	GlobalVersion      string       `json:"globalVersion"`
	AdditionalVersions []string     `json:"additionalVersions"`
	Sidecar            sidecar      `json:"sidecar"`
	Tracing            tracing      `json:"tracing"`
	ControlPlane       controlPlane `json:"controlPlane"`
	DataPlane          dataPlane    `json:"dataPlane"`
	JWKSRootCA         string       `json:"jwksResolverAdditionalRootCA"`
	ExtensionProviders []provider   `json:"extensionProviders"`
	Auth               auth         `json:"auth"`
	CA                 ca.Bundle    `json:"ca"`
	Alliance           struct {
		IngressGateway struct {
			scheduling
			ServiceAnnotations    map[string]string `json:"serviceAnnotations"`
			GatewayPodAnnotations map[string]string `json:"gatewayPodAnnotations"`

			Advertise []metadata.IngressGateway `json:"advertise"`
		} `json:"ingressGateway"`
	} `json:"alliance"`
}

// Tolerated is the problem of a setting that may have been accepted before: a CA was sound until it expired, or an earlier
// release of the module accepted an intermediate as its root; a version of Istio was there until a release dropped it.
type Tolerated struct{ error }

// Unwrap returns the problem itself.
func (t Tolerated) Unwrap() error { return t.error }

// Check returns every problem of spec.settings (a decoded YAML or JSON
// object), each beginning with the name of the setting. previous are the settings
// accepted before, nil if unknown: a CA or a version of Istio that is still the same is
// not judged again, so that its end does not stand in the way of other changes.
func Check(settings, previous map[string]any, now time.Time) []error {
	read, err := decode(settings)
	if err != nil {
		return []error{err}
	}
	before, err := decode(previous)
	if err != nil {
		before = checked{} // an earlier release of the module accepted them
	}
	var problems []error
	if !read.CA.IsZero() && !reflect.DeepEqual(settings["ca"], previous["ca"]) {
		if err := checkCA(read.CA, now); err != nil {
			problems = append(problems, err)
		}
	}
	gateway := read.Alliance.IngressGateway
	for index, advertised := range gateway.Advertise {
		if err := advertised.Check(); err != nil {
			problems = append(problems, fmt.Errorf("alliance.ingressGateway.advertise[%d]: %w", index, err))
		}
	}
	problems = append(problems, read.check("")...)
	problems = append(problems, gateway.check("alliance.ingressGateway.")...)
	problems = append(problems, checkAnnotations("alliance.ingressGateway.serviceAnnotations", gateway.ServiceAnnotations)...)
	problems = append(problems, checkAnnotations("alliance.ingressGateway.gatewayPodAnnotations", gateway.GatewayPodAnnotations)...)
	problems = append(problems, checkVersions(read, before)...)
	problems = append(problems, read.Sidecar.check()...)
	problems = append(problems, read.Tracing.check()...)
	problems = append(problems, read.ControlPlane.check()...)
	problems = append(problems, read.DataPlane.check()...)
	if _, err := certs.Parse(read.JWKSRootCA); err != nil && strings.TrimSpace(read.JWKSRootCA) != "" {
		problems = append(problems, fmt.Errorf("jwksResolverAdditionalRootCA: %w", err))
	}
	problems = append(problems, checkProviders("extensionProviders", read.ExtensionProviders)...)
	return append(problems, read.Auth.check()...)
}

// decode reads settings, with the defaults of those that are left out.
func decode(settings map[string]any) (checked, error) {
	read := defaults()
	encoded, err := json.Marshal(settings)
	if err != nil {
		return read, fmt.Errorf("encode settings: %w", err)
	}
	if err := json.Unmarshal(encoded, &read); err != nil {
		return read, explainType(err)
	}
	return read, nil
}

// explainType words the error of a setting that is of another type than the schema says.
func explainType(err error) error {
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) {
		return fmt.Errorf("%s: cannot be a %s", mistyped.Field, mistyped.Value)
	}
	return fmt.Errorf("decode settings: %w", err)
}

// checkCA returns what is wrong with bundle, as Tolerated where nothing else is wrong.
func checkCA(bundle ca.Bundle, now time.Time) error {
	problem := bundle.CheckConfigured(now)
	if problem == nil {
		return nil
	}
	if bundle.Check(now) == nil {
		return Tolerated{problem}
	}
	// Any of its certificates may be the one whose end counts.
	for _, certificate := range certs.Salvage(bundle.Cert + "\n" + bundle.Chain + "\n" + bundle.Root) {
		if certificate.NotAfter.Before(now) && bundle.Check(certificate.NotAfter) == nil {
			return Tolerated{problem}
		}
	}
	return problem
}
