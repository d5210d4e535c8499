package federation

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

const (
	// NetworkingAPIVersion of the objects made here.
	NetworkingAPIVersion = "networking.istio.io/v1"
	// ServiceEntryKind is the kind that makes a peer's service known.
	ServiceEntryKind = "ServiceEntry"
	// DestinationRuleKind is the kind that makes proxies use mutual TLS towards it.
	DestinationRuleKind = "DestinationRule"
	// ManagedByLabel marks the objects that belong to this module's federation.
	ManagedByLabel = "app.kubernetes.io/managed-by"
	// ManagedByValue is the value of ManagedByLabel.
	ManagedByValue = "istio-federation"
	// PeerAnnotation names the IstioFederation an object was made for.
	PeerAnnotation = "federation.istio.deckhouse.io/peer"

	maxObjectName = 253
)

// Peer is an accepted IstioFederation with what is known of it.
type Peer struct {
	// Name of the IstioFederation.
	Name        string
	TrustDomain string
	// Import as in spec.import.
	Import   []string
	Gateways []metadata.IngressGateway
	Services []metadata.PublicService
}

// Objects makes the ServiceEntry and the DestinationRule for every service
// imported from the peers. Services are judged again: a status can be older
// than the spec it stands beside.
//
// A peer without gateway addresses gets no objects: a host nobody can reach
// is better unknown than hanging.
func Objects(peers []Peer) ([]Object, error) {
	var objects []Object
	for _, peer := range peers {
		if len(peer.Gateways) == 0 {
			continue
		}
		accepted := Judge(peer.Services, peer.TrustDomain).Accepted
		for _, service := range Import(accepted, peer.Import) {
			for _, each := range []struct {
				kind string
				spec proto.Message
			}{
				{ServiceEntryKind, serviceEntry(service, peer.Gateways)},
				{DestinationRuleKind, destinationRule(service)},
			} {
				object, err := newObject(each.kind, peer.Name, service.Hostname, each.spec)
				if err != nil {
					return nil, err
				}
				objects = append(objects, object)
			}
		}
	}
	return objects, nil
}

// serviceEntry sends the traffic for every port of the service to the peer's
// gateways; there SNI tells which service and port is meant.
func serviceEntry(service metadata.PublicService, gateways []metadata.IngressGateway) *networking.ServiceEntry {
	entry := &networking.ServiceEntry{
		Hosts:      []string{service.Hostname},
		Location:   networking.ServiceEntry_MESH_INTERNAL,
		Resolution: networking.ServiceEntry_STATIC,
	}
	for _, port := range service.Ports {
		entry.Ports = append(entry.Ports, &networking.ServicePort{
			Number: uint32(port.Port), Name: port.Name, Protocol: port.Protocol,
		})
	}
	for _, gateway := range gateways {
		if !gateway.IsIP() {
			entry.Resolution = networking.ServiceEntry_DNS
		}
		endpoint := &networking.WorkloadEntry{Address: gateway.Address, Ports: map[string]uint32{}}
		for _, port := range service.Ports {
			endpoint.Ports[port.Name] = uint32(gateway.Port)
		}
		entry.Endpoints = append(entry.Endpoints, endpoint)
	}
	slices.SortFunc(entry.Endpoints, func(a, b *networking.WorkloadEntry) int {
		return strings.Compare(fmt.Sprint(a.Address, a.Ports), fmt.Sprint(b.Address, b.Ports))
	})
	return entry
}

// destinationRule makes proxies use the mesh's mutual TLS towards the gateway,
// with the SNI that an AUTO_PASSTHROUGH gateway routes by.
func destinationRule(service metadata.PublicService) *networking.DestinationRule {
	return &networking.DestinationRule{
		Host: service.Hostname,
		TrafficPolicy: &networking.TrafficPolicy{
			Tls: &networking.ClientTLSSettings{Mode: networking.ClientTLSSettings_ISTIO_MUTUAL},
		},
	}
}

// Object is one ServiceEntry or DestinationRule, as wanted or as found.
type Object struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Peer is the value of PeerAnnotation; Managed is true when ManagedByLabel is right.
	Peer    string `json:"peer"`
	Managed bool   `json:"managed"`
	// Deleting is true for a found object that has a deletion timestamp.
	Deleting bool           `json:"deleting,omitempty"`
	Spec     map[string]any `json:"spec"`
}

func newObject(kind, peer, hostname string, spec proto.Message) (Object, error) {
	encoded, err := protojson.Marshal(spec)
	if err != nil {
		return Object{}, fmt.Errorf("encode %s for %s: %w", kind, hostname, err)
	}
	object := Object{Kind: kind, Name: objectName(peer, hostname), Peer: peer, Managed: true}
	if err := json.Unmarshal(encoded, &object.Spec); err != nil {
		return Object{}, fmt.Errorf("decode %s for %s: %w", kind, hostname, err)
	}
	return object, nil
}

// objectName is "<service>.<namespace>.<peer>", which no two services share:
// names of Services and namespaces have no dots. Names too long for
// Kubernetes end in a hash instead.
func objectName(peer, hostname string) string {
	labels := strings.SplitN(hostname, ".", 3)
	name := labels[0] + "." + labels[1] + "." + peer
	if len(name) <= maxObjectName {
		return name
	}
	sum := sha256.Sum256([]byte(peer + "/" + hostname))
	return strings.TrimRight(name[:maxObjectName-17], ".-") + "-" + hex.EncodeToString(sum[:8])
}

// Unstructured is the object as it is created.
func (o Object) Unstructured() *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{"spec": o.Spec}}
	object.SetAPIVersion(NetworkingAPIVersion)
	object.SetKind(o.Kind)
	object.SetNamespace(v1alpha1.Namespace)
	object.SetName(o.Name)
	object.SetLabels(map[string]string{"heritage": "deckhouse", "module": "istio", ManagedByLabel: ManagedByValue})
	object.SetAnnotations(map[string]string{PeerAnnotation: o.Peer})
	return object
}
