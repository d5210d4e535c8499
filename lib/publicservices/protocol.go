package publicservices

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	defaultProtocol = "TCP"
	udp             = "UDP"
	grpcWeb         = "grpc-web"
)

// byPrefix maps what Istio recognises, in lower case, to its spelling in a ServiceEntry
// (istio.io: "Protocol Selection").
var byPrefix = map[string]string{
	"http": "HTTP", "http2": "HTTP2", "https": "HTTPS", "grpc": "GRPC", "tls": "TLS", "tcp": defaultProtocol,
	"mongo": "MONGO", "mysql": "MYSQL", "redis": "REDIS", "udp": udp,
}

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
	name = strings.ToLower(name)
	if strings.HasPrefix(name, grpcWeb) {
		return "GRPC-WEB"
	}
	prefix, _, _ := strings.Cut(name, "-")
	if protocol, ok := byPrefix[prefix]; ok {
		return protocol
	}
	return defaultProtocol
}
