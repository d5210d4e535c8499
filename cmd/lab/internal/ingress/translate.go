package ingress

import (
	"maps"
	"net/netip"
	"strings"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
)

const (
	passthroughAnnotation = "nginx.ingress.kubernetes.io/ssl-passthrough"
	passthrough           = "true"
	// anyHost is the host of connections that name none.
	anyHost = "*"
)

// translator puts into objects what a cluster's network would know: which
// addresses Pods have in fact, and which address a public name leads to.
type translator struct {
	network *podnet.Network
	// hosts are the addresses of public names.
	hosts map[string]string
	// nameless is the public name that connections which name none are for.
	nameless string
}

// object translates an object, or all of a list, in place.
func (t translator) object(object map[string]any) {
	kind, _ := object["kind"].(string)
	if of, isList := strings.CutSuffix(kind, "List"); isList {
		for _, item := range objectsOf(object["items"]) {
			t.byKind(of, item)
		}
		return
	}
	t.byKind(kind, object)
}

func (t translator) byKind(kind string, object map[string]any) {
	switch kind {
	case "EndpointSlice":
		t.endpointSlice(object)
	case "Ingress":
		t.ingress(object)
	}
}

// endpointSlice replaces the addresses of Pods by those that they listen on.
func (t translator) endpointSlice(slice map[string]any) {
	for _, endpoint := range objectsOf(slice["endpoints"]) {
		addresses, _ := endpoint["addresses"].([]any)
		for i, address := range addresses {
			text, _ := address.(string)
			shown, err := netip.ParseAddr(text)
			if err != nil {
				continue
			}
			if real, err := t.network.Real(shown); err == nil {
				addresses[i] = real.String()
			}
		}
	}
}

// ingress adds, for each rule of a public name, the same rule for the address
// that the name leads to: there is no DNS here, so callers use the address. They
// send it as the host of their requests. With ssl-passthrough only the TLS
// handshake is looked at, which has no place for an address and so no host: only
// one Ingress can have those connections.
func (t translator) ingress(ingress map[string]any) {
	metadata, _ := ingress["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	spec, _ := ingress["spec"].(map[string]any)
	rules, _ := spec["rules"].([]any)
	for _, rule := range objectsOf(spec["rules"]) {
		name, _ := rule["host"].(string)
		address, known := t.hosts[name]
		if !known {
			continue
		}
		added := maps.Clone(rule)
		switch {
		case annotations[passthroughAnnotation] != passthrough:
			added["host"] = address
		case name == t.nameless:
			added["host"] = anyHost
		default:
			continue
		}
		rules = append(rules, added)
	}
	if len(rules) > 0 {
		spec["rules"] = rules
	}
}

// objectsOf are the JSON objects in a JSON array.
func objectsOf(array any) []map[string]any {
	values, _ := array.([]any)
	var objects []map[string]any
	for _, value := range values {
		if object, ok := value.(map[string]any); ok {
			objects = append(objects, object)
		}
	}
	return objects
}
