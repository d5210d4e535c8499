package documents

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// Keys of the ConfigMap metadata-exporter.
const (
	// PublicKey holds the contract's public document.
	PublicKey = "public.json"
	// IngressGatewaysKey holds the list of this cluster's gateway addresses.
	IngressGatewaysKey = "ingress-gateways.json"
	// MulticlusterKey holds apiHost and networkName; it is there only when this
	// cluster joins others into one mesh.
	MulticlusterKey = "multicluster.json"
)

// settings is the last good content of the ConfigMap, key by key; nil means
// that there has been none yet.
type settings struct {
	public       *metadata.Public
	gateways     []metadata.IngressGateway
	multicluster *metadata.Multicluster
}

// update takes over from data what is good and returns what is not, by key.
// A key that is missing or bad keeps its last good value: neighbours would act
// on its absence. Only multicluster.json may go, since it is optional.
func (s *settings) update(data map[string]string, now time.Time) map[string]error {
	problems := map[string]error{}
	if public, err := readPublic(data, now); err != nil {
		problems[PublicKey] = err
	} else {
		s.public = public
	}
	if gateways, err := readGateways(data); err != nil {
		problems[IngressGatewaysKey] = err
	} else {
		s.gateways = gateways
	}
	if text, ok := data[MulticlusterKey]; !ok {
		s.multicluster = nil
	} else if multicluster, err := metadata.ParseMulticluster([]byte(text)); err != nil {
		problems[MulticlusterKey] = err
	} else {
		s.multicluster = multicluster
	}
	return problems
}

// readPublic holds this cluster's own document to what its neighbours will ask of it.
func readPublic(data map[string]string, now time.Time) (*metadata.Public, error) {
	text, ok := data[PublicKey]
	if !ok {
		return nil, errors.New("the key is missing")
	}
	return metadata.ParsePublic([]byte(text), now)
}

func readGateways(data map[string]string) ([]metadata.IngressGateway, error) {
	text, ok := data[IngressGatewaysKey]
	if !ok {
		return nil, errors.New("the key is missing")
	}
	var gateways []metadata.IngressGateway
	if err := json.Unmarshal([]byte(text), &gateways); err != nil {
		return nil, fmt.Errorf("decode the list of ingress gateways: %w", err)
	}
	if gateways == nil { // null is what Helm renders for a value that no hook has set yet
		return nil, errors.New("the list of ingress gateways is not known yet")
	}
	var problems []error
	for index, gateway := range gateways {
		if err := gateway.Check(); err != nil {
			problems = append(problems, fmt.Errorf("gateway %d: %w", index, err))
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return gateways, nil
}
