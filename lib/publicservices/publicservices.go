// Package publicservices decides what a cluster's federation document says about the
// Services it publishes. The rules are the contract's section "Publishing a Service".
package publicservices

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// Reasons of a Rejection.
const (
	ReasonExternalName        = "ExternalName"
	ReasonNoPorts             = "NoPorts"
	ReasonUnnamedPort         = "UnnamedPort"
	ReasonUnsupportedProtocol = "UnsupportedProtocol"
)

// Rejection is a labelled Service, or one port of it, that is not published.
type Rejection struct {
	Namespace, Name string
	// Port is the port's number; 0 when it is about the whole Service.
	Port   int32
	Reason string
	// Message says what to change.
	Message string
}

func (r Rejection) String() string {
	if r.Port != 0 {
		return fmt.Sprintf("port %d of Service %s/%s is not published: %s", r.Port, r.Namespace, r.Name, r.Message)
	}
	return fmt.Sprintf("Service %s/%s is not published: %s", r.Namespace, r.Name, r.Message)
}

// FromService makes the published form of a Service; ok is false when it is not
// published. A port that cannot be published is left out and named in rejections;
// the others are published. A Service that is being deleted is not published, without a rejection.
func FromService(service *corev1.Service, clusterDomain string) (published metadata.PublicService, ok bool, rejections []Rejection) {
	if service.DeletionTimestamp != nil {
		return metadata.PublicService{}, false, nil
	}
	reject := func(port int32, reason, format string, args ...any) {
		rejections = append(rejections, Rejection{
			Namespace: service.Namespace, Name: service.Name, Port: port,
			Reason: reason, Message: fmt.Sprintf(format, args...),
		})
	}
	switch {
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		reject(0, ReasonExternalName, "its type is ExternalName, which has no endpoints in the mesh; publish the Service that has")
		return metadata.PublicService{}, false, rejections
	case len(service.Spec.Ports) == 0:
		reject(0, ReasonNoPorts, "it has no ports; add the ones that peers may use")
		return metadata.PublicService{}, false, rejections
	}

	ports := make([]metadata.ServicePort, 0, len(service.Spec.Ports))
	for _, port := range service.Spec.Ports {
		protocol := protocolOf(port)
		switch {
		case port.Name == "":
			reject(port.Port, ReasonUnnamedPort, `it has no name; name it after its protocol, for example "http" or "tcp-main"`)
		case port.Protocol == corev1.ProtocolSCTP || protocol == udp:
			reject(port.Port, ReasonUnsupportedProtocol, "its protocol %s cannot pass the mutual TLS gateway between clusters; only what runs over TCP can", obstacle(port))
		default:
			ports = append(ports, metadata.ServicePort{Name: port.Name, Port: port.Port, Protocol: protocol})
		}
	}
	if len(ports) == 0 {
		return metadata.PublicService{}, false, rejections
	}
	slices.SortFunc(ports, func(a, b metadata.ServicePort) int { return cmp.Compare(a.Port, b.Port) })
	return metadata.PublicService{
		Hostname: service.Name + "." + service.Namespace + ".svc." + clusterDomain,
		Ports:    ports,
	}, true, rejections
}

// obstacle is the transport of a port that cannot be published, or UDP when only its name says so.
func obstacle(port corev1.ServicePort) string {
	if port.Protocol == corev1.ProtocolSCTP {
		return string(corev1.ProtocolSCTP)
	}
	return udp
}
