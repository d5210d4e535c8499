// Package settings checks what a schema cannot: whether the values that a
// person set in ModuleConfig istio make sense together.
package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/ingressgateway"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// checked is the part of spec.settings that has rules beyond the schema's.
type checked struct {
	CA       ca.Bundle `json:"ca"`
	Alliance struct {
		IngressGateway struct {
			Inlet    string `json:"inlet"`
			NodePort struct {
				Port int32 `json:"port"`
			} `json:"nodePort"`
			Advertise []metadata.IngressGateway `json:"advertise"`
		} `json:"ingressGateway"`
	} `json:"alliance"`
}

// Check returns every problem of spec.settings (a decoded YAML or JSON
// object), each beginning with the name of the setting; nil when there is none.
func Check(settings map[string]any, now time.Time) error {
	encoded, err := json.Marshal(settings)
	if err != nil {
		return fmt.Errorf("encode settings: %w", err)
	}
	var read checked
	if err := json.Unmarshal(encoded, &read); err != nil {
		return fmt.Errorf("decode settings: %w", err)
	}
	var problems []error
	if !read.CA.IsZero() {
		if err := read.CA.Check(now); err != nil {
			problems = append(problems, err)
		}
	}
	gateway := read.Alliance.IngressGateway
	if gateway.NodePort.Port != 0 && gateway.Inlet != ingressgateway.InletNodePort {
		problems = append(problems, fmt.Errorf("alliance.ingressGateway.nodePort.port: is %d, but alliance.ingressGateway.inlet is not %s",
			gateway.NodePort.Port, ingressgateway.InletNodePort))
	}
	for index, gateway := range gateway.Advertise {
		if err := gateway.Check(); err != nil {
			problems = append(problems, fmt.Errorf("alliance.ingressGateway.advertise[%d]: %w", index, err))
		}
	}
	return errors.Join(problems...)
}
