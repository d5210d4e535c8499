package publicservices

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

const udp = "UDP"

// byStandardName maps the application protocols that Kubernetes itself defines
// (kubernetes.io, "Application protocol"), as Istio reads them.
var byStandardName = map[string]string{
	"kubernetes.io/h2c": "HTTP2", "kubernetes.io/ws": "HTTP", "kubernetes.io/wss": "HTTPS",
}

// protocolOf reads a port's protocol the way Istio does: appProtocol, when it is
// set, decides alone; otherwise what precedes the first "-" in the port's name.
// Whatever is not recognised is TCP.
func protocolOf(port corev1.ServicePort) string {
	if port.Protocol == corev1.ProtocolUDP {
		return udp
	}
	name := port.Name
	if port.AppProtocol != nil && *port.AppProtocol != "" {
		name = *port.AppProtocol
		if protocol, ok := byStandardName[name]; ok {
			return protocol
		}
	}
	return metadata.ProtocolOfName(name)
}
