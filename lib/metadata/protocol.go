package metadata

import "strings"

// defaultProtocol is that of a port whose name implies none.
const defaultProtocol = "TCP"

// byPrefix maps the names that Istio recognises, in lower case, to their spelling in a ServiceEntry
// (istio.io: "Protocol Selection").
var byPrefix = map[string]string{
	"http": "HTTP", "http2": "HTTP2", "https": "HTTPS", "grpc": "GRPC", "tls": "TLS", "tcp": defaultProtocol,
	"mongo": "MONGO", "mysql": "MYSQL", "redis": "REDIS", "udp": "UDP",
}

// ProtocolOfName reads a port's protocol from its name, or from its appProtocol, as
// Istio does: from the part before the first "-". Any other name is TCP.
func ProtocolOfName(name string) string {
	name = strings.ToLower(name)
	if strings.HasPrefix(name, "grpc-web") {
		return "GRPC-WEB"
	}
	prefix, _, _ := strings.Cut(name, "-")
	if protocol, ok := byPrefix[prefix]; ok {
		return protocol
	}
	return defaultProtocol
}
