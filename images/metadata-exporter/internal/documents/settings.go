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
	// MulticlusterKey holds apiHost and networkName; it exists only where
	// multicluster is enabled.
	MulticlusterKey = "multicluster.json"
)

// settings is the last good content of the ConfigMap, key by key; nil means that
// there has been none yet.
type settings struct {
	public       *metadata.Public
	gateways     []metadata.IngressGateway
	multicluster *metadata.Multicluster
	// dropped is what is wrong with those gateways of the list that are not in gateways.
	dropped error
}

// update takes over the good keys of data and returns what is wrong with the
// others, by key. A key that is missing or bad retains its last good value: peers
// would act on its absence. Only multicluster.json may be removed: it is optional.
func (s *settings) update(data map[string]string, now time.Time) map[string]error {
	problems := map[string]error{}
	if public, err := readPublic(data, now); err != nil {
		problems[PublicKey] = err
	} else {
		s.public = public
	}
	if gateways, dropped, err := readGateways(data); err != nil {
		problems[IngressGatewaysKey] = err
	} else {
		s.gateways, s.dropped = gateways, dropped
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

// readPublic checks this cluster's own document as its peers will.
func readPublic(data map[string]string, now time.Time) (*metadata.Public, error) {
	text, ok := data[PublicKey]
	if !ok {
		return nil, errors.New("the key is missing")
	}
	return metadata.ParsePublic([]byte(text), now)
}

// readGateways returns the usable gateways of the list, sorted, and what is
// wrong with the others: one bad address must not freeze the rest. A list without
// any usable gateway is an error, because peers would act on an empty one.
func readGateways(data map[string]string) (gateways []metadata.IngressGateway, dropped, err error) {
	text, ok := data[IngressGatewaysKey]
	if !ok {
		return nil, nil, errors.New("the key is missing")
	}
	var entries []json.RawMessage
	if err := json.Unmarshal([]byte(text), &entries); err != nil {
		return nil, nil, fmt.Errorf("decode the list of ingress gateways: %w", err)
	}
	if entries == nil { // null is what Helm renders for a value that no hook has set yet
		return nil, nil, errors.New("the list of ingress gateways is not known yet")
	}
	var problems []error
	gateways = make([]metadata.IngressGateway, 0, len(entries))
	for index, entry := range entries {
		var gateway metadata.IngressGateway
		if err := json.Unmarshal(entry, &gateway); err != nil {
			problems = append(problems, fmt.Errorf("gateway %d: decode: %w", index, err))
		} else if err := gateway.Check(); err != nil {
			problems = append(problems, fmt.Errorf("gateway %d: %w", index, err))
		} else {
			gateways = append(gateways, gateway)
		}
	}
	if len(gateways) == 0 && len(problems) > 0 {
		return nil, nil, errors.Join(problems...)
	}
	gateways = metadata.SortedGateways(gateways)
	if surplus := len(gateways) - metadata.MaxIngressGateways; surplus > 0 {
		problems = append(problems, fmt.Errorf("%d gateways are more than the %d that are published: the last %d in order of address are left out; `alliance.ingressGateway.advertise` or its nodeSelector can choose others",
			len(gateways), metadata.MaxIngressGateways, surplus))
		gateways = gateways[:metadata.MaxIngressGateways]
	}
	return gateways, errors.Join(problems...), nil
}
