package federation

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/healthcheck"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/names"
)

const (
	// NetworkingAPIVersion of the objects made here.
	NetworkingAPIVersion = "networking.istio.io/v1"
	// ServiceEntryKind is the kind that makes a peer's service known.
	ServiceEntryKind = "ServiceEntry"
	// DestinationRuleKind is the kind that makes proxies use mutual TLS to it.
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
	// Unknown is true while the peer's offer is not known: nothing new is wanted for
	// it, and its existing objects are retained.
	Unknown bool
}

// Unknown are the names of those peers whose offer is not known.
func Unknown(peers []Peer) map[string]bool {
	unknown := map[string]bool{}
	for _, peer := range peers {
		if peer.Unknown {
			unknown[peer.Name] = true
		}
	}
	return unknown
}

// Objects makes the ServiceEntry and the DestinationRule for every service
// imported from the peers. Services are judged again: a status can be older
// than the spec of the same resource.
//
// A peer without gateway addresses gets no objects: requests to an unknown host
// fail at once, and to an unreachable one after a timeout.
//
// The objects are made as the API server stores them, not converted from Istio's
// Go types, because there are twenty thousand of them at 10,000 services; tests
// check them against Istio's schema and validation.
func Objects(peers []Peer) []Object {
	var objects []Object
	for _, peer := range peers {
		if len(peer.Gateways) == 0 {
			continue
		}
		imported := Import(Judge(peer.Services, peer.TrustDomain).Accepted, peer.Import)
		objects = slices.Grow(objects, 2*len(imported))
		gateways := metadata.SortedGateways(peer.Gateways) // whatever the peer's order is
		for _, service := range imported {
			objects = append(objects, objectsOf(peer, service, gateways)...)
		}
	}
	return objects
}

// objectsOf makes the objects of one service; gateways are sorted.
func objectsOf(peer Peer, service metadata.PublicService, gateways []metadata.IngressGateway) []Object {
	name, ids := objectName(peer.Name, service.Hostname), identities(service.ServiceAccounts, peer.TrustDomain)
	state := State{Peer: peer.Name, Managed: true}
	return []Object{
		{Kind: ServiceEntryKind, Name: name, State: state, Spec: serviceEntry(service, gateways, ids)},
		{Kind: DestinationRuleKind, Name: name, State: state, Spec: destinationRule(service, ids)},
	}
}

// serviceEntry sends the traffic for every port of the service to the peer's
// gateways, which choose the service and port by SNI.
//
// Where one gateway has a DNS name, all of them are resolved by DNS: Istio knows
// one way for a ServiceEntry, an IP address resolves to itself, and proxies
// resolve each address on its own, so that a name that fails costs only itself.
func serviceEntry(service metadata.PublicService, gateways []metadata.IngressGateway, identities []any) map[string]any {
	resolution := "STATIC"
	ports := make([]any, 0, len(service.Ports))
	for _, port := range service.Ports {
		ports = append(ports, map[string]any{"name": port.Name, "number": float64(port.Port), "protocol": port.Protocol})
	}
	endpoints := make([]any, 0, len(gateways))
	for _, gateway := range gateways {
		if !gateway.IsIP() {
			resolution = "DNS"
		}
		targets := make(map[string]any, len(service.Ports))
		for _, port := range service.Ports {
			targets[port.Name] = float64(gateway.Port)
		}
		endpoints = append(endpoints, map[string]any{"address": gateway.Address, "ports": targets})
	}
	entry := map[string]any{
		"hosts": []any{service.Hostname}, "location": "MESH_INTERNAL", "resolution": resolution,
		"ports": ports, "endpoints": endpoints,
	}
	if identities != nil {
		// The DestinationRule overrides these; they apply where a person's own DestinationRule replaces it.
		entry["subjectAltNames"] = identities
	}
	return entry
}

// destinationRule makes proxies use the mesh's mutual TLS to the gateway, with the
// SNI that an AUTO_PASSTHROUGH gateway routes by, and accept the service's own
// identities only.
//
// When the peer does not publish these, every identity that the trusted anchors
// allow is accepted: Istio can match subject alternative names exactly only, not
// "any of this trust domain".
func destinationRule(service metadata.PublicService, identities []any) map[string]any {
	tls := map[string]any{"mode": "ISTIO_MUTUAL"}
	if identities != nil {
		tls["subjectAltNames"] = identities
	}
	policy := map[string]any{"tls": tls}
	if healthcheck.IsHostname(service.Hostname) {
		// A connection for each call: trust and gateways are tried when one is opened.
		policy["connectionPool"] = map[string]any{"http": map[string]any{"maxRequestsPerConnection": float64(1)}}
	}
	return map[string]any{"host": service.Hostname, "trafficPolicy": policy}
}

// Object is a ServiceEntry or DestinationRule, wanted or found.
type Object struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	State
	Spec map[string]any `json:"spec"`
}

// Read returns an object as it was found.
func Read(found *unstructured.Unstructured) Object {
	spec, _, _ := unstructured.NestedFieldNoCopy(found.Object, "spec")
	content, _ := spec.(map[string]any)
	return Object{
		Kind: found.GetKind(), Name: found.GetName(), Spec: content,
		State: State{
			Peer:     found.GetAnnotations()[PeerAnnotation],
			Managed:  found.GetLabels()[ManagedByLabel] == ManagedByValue,
			Deleting: found.GetDeletionTimestamp() != nil,
		},
	}
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
	labels := names.ModuleLabels()
	labels[ManagedByLabel] = ManagedByValue
	object.SetLabels(labels)
	object.SetAnnotations(map[string]string{PeerAnnotation: o.Peer})
	return object
}
