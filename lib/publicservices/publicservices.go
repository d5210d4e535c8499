// Package publicservices decides what a cluster publishes of its Services to its
// federated peers. The rules are the contract's section
// "Publishing a Service".
package publicservices

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// Reasons of a Rejection.
const (
	ReasonExternalName        = "ExternalName"
	ReasonNoPorts             = "NoPorts"
	ReasonUnnamedPort         = "UnnamedPort"
	ReasonUnsupportedProtocol = "UnsupportedProtocol"
	// ReasonPortNameTooLong and ReasonTooManyPorts: peers reject such ports, since Istio's CRD does.
	ReasonPortNameTooLong = "PortNameTooLong"
	ReasonTooManyPorts    = "TooManyPorts"
	// ReasonHostnameTooLong: no DNS name has that many characters.
	ReasonHostnameTooLong = "HostnameTooLong"
	// ReasonNotExported: the annotation networking.istio.io/exportTo hides the Service from the gateway.
	ReasonNotExported = "NotExported"
	// ReasonNodeLocal: traffic that stays on a node does not come from the gateway's.
	ReasonNodeLocal = "NodeLocal"
)

const (
	// ExportToAnnotation is Istio's: the namespaces whose proxies see a Service.
	ExportToAnnotation = "networking.istio.io/exportTo"
	// unpublished is the value of the label with which a Service is not published.
	unpublished = "false"
)

// Rejection is a labelled Service, or some of its ports, that is not published.
type Rejection struct {
	Namespace, Name string
	// UID of the Service.
	UID types.UID
	// Port is the number of the first port that is rejected for this reason; 0 when it is about the whole Service.
	Port int32
	// MorePorts counts the others that are rejected for the same reason.
	MorePorts int
	Reason    string
	// Message says what to change.
	Message string
}

func (r Rejection) String() string {
	switch {
	case r.Reason == ReasonInvalidServiceAccount:
		return fmt.Sprintf("Service %s/%s is published in part: %s", r.Namespace, r.Name, r.Message)
	case r.Port == 0:
		return fmt.Sprintf("Service %s/%s is not published: %s", r.Namespace, r.Name, r.Message)
	case r.MorePorts > 0:
		return fmt.Sprintf("port %d and %d more of Service %s/%s is not published: %s", r.Port, r.MorePorts, r.Namespace, r.Name, r.Message)
	default:
		return fmt.Sprintf("port %d of Service %s/%s is not published: %s", r.Port, r.Namespace, r.Name, r.Message)
	}
}

// Named returns the rejections to name: of each namespace the first perNamespace,
// the last of which counts the others, so that a tenant fills neither logs nor
// Events. rejections are in order of namespaces.
func Named(rejections []Rejection, perNamespace int) []Rejection {
	var named []Rejection
	for begin := 0; begin < len(rejections); {
		end := begin
		for end < len(rejections) && rejections[end].Namespace == rejections[begin].Namespace {
			end++
		}
		inNamespace := rejections[begin:end]
		if more := len(inNamespace) - perNamespace; more > 0 {
			last := inNamespace[perNamespace-1]
			last.Message += fmt.Sprintf(" (%d more Services or reasons in namespace %s are not named)", more, last.Namespace)
			named = append(append(named, inNamespace[:perNamespace-1]...), last)
		} else {
			named = append(named, inNamespace...)
		}
		begin = end
	}
	return named
}

// FromService makes the published form of a Service; ok is false when it is not
// published. A port that cannot be published is left out and the others are
// published: rejections has one entry for each reason, whatever the number of ports. A
// Service that is being deleted, or whose label is "false", is not published without a rejection.
func FromService(service *corev1.Service, clusterDomain string) (published metadata.PublicService, ok bool, rejections []Rejection) {
	if service.DeletionTimestamp != nil || service.Labels[v1alpha1.PublicServiceLabel] == unpublished {
		return metadata.PublicService{}, false, nil
	}
	found := rejected{service: service}
	published.Hostname = service.Name + "." + service.Namespace + ".svc." + clusterDomain
	if reason, message := obstacleOf(service, published.Hostname); reason != "" {
		found.add(0, reason, message)
		return metadata.PublicService{}, false, found.list
	}
	for _, port := range service.Spec.Ports {
		protocol := protocolOf(port)
		switch {
		case port.Name == "":
			found.add(port.Port, ReasonUnnamedPort, `it has no name; name it after its protocol, for example "http" or "tcp-main"`)
		case len(port.Name) > metadata.MaxPortNameLength:
			found.add(port.Port, ReasonPortNameTooLong, fmt.Sprintf(
				"its name has more than %d characters, which Istio in the peers' clusters rejects; give it a shorter one", metadata.MaxPortNameLength))
		case port.Protocol == corev1.ProtocolSCTP || protocol == udp:
			found.add(port.Port, ReasonUnsupportedProtocol, fmt.Sprintf(
				"its protocol %s cannot pass the mutual TLS gateway between clusters; only what runs over TCP can", obstacle(port)))
		case len(published.Ports) == metadata.MaxServicePorts:
			found.add(port.Port, ReasonTooManyPorts, fmt.Sprintf(
				"the Service has more than the %d ports that Istio in the peers' clusters accepts; publish several Services", metadata.MaxServicePorts))
		default:
			published.Ports = append(published.Ports, metadata.ServicePort{Name: port.Name, Port: port.Port, Protocol: protocol})
		}
	}
	if len(published.Ports) == 0 {
		return metadata.PublicService{}, false, found.list
	}
	slices.SortFunc(published.Ports, func(a, b metadata.ServicePort) int { return cmp.Compare(a.Port, b.Port) })
	return published, true, found.list
}

// obstacleOf returns why no port of the Service can be published; nothing when some may.
func obstacleOf(service *corev1.Service, hostname string) (reason, message string) {
	switch {
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		return ReasonExternalName, "its type is ExternalName, which has no endpoints in the mesh; publish the Service that has"
	case len(service.Spec.Ports) == 0:
		return ReasonNoPorts, "it has no ports; add the ones peers may use"
	case len(hostname) > metadata.MaxHostnameLength:
		return ReasonHostnameTooLong, fmt.Sprintf("its hostname %s has more than %d characters; give the Service a shorter name",
			hostname, metadata.MaxHostnameLength)
	case !exportedToGateway(service):
		return ReasonNotExported, fmt.Sprintf("its annotation %s: %q hides it from the gateway, which runs in namespace %s; add that namespace, or remove the label",
			ExportToAnnotation, service.Annotations[ExportToAnnotation], v1alpha1.Namespace)
	case service.Spec.InternalTrafficPolicy != nil && *service.Spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal:
		return ReasonNodeLocal, "its internalTrafficPolicy is Local, and requests of peers come from the gateway's node; publish a Service whose policy is Cluster"
	}
	return "", ""
}

// exportedToGateway reads the annotation as Istio does: a list of namespaces
// separated by commas, in which "." is the Service's own, "*" is all, and "~" is none.
func exportedToGateway(service *corev1.Service) bool {
	listed := strings.TrimSpace(service.Annotations[ExportToAnnotation])
	if listed == "" {
		return true
	}
	for namespace := range strings.SplitSeq(listed, ",") {
		switch strings.TrimSpace(namespace) {
		case "*", v1alpha1.Namespace:
			return true
		case ".":
			if service.Namespace == v1alpha1.Namespace {
				return true
			}
		}
	}
	return false
}

// rejected collects the rejections of one Service, one for each reason.
type rejected struct {
	service *corev1.Service
	list    []Rejection
}

func (r *rejected) add(port int32, reason, message string) {
	for index := range r.list {
		if r.list[index].Reason == reason {
			r.list[index].MorePorts++
			return
		}
	}
	r.list = append(r.list, Rejection{
		Namespace: r.service.Namespace, Name: r.service.Name, UID: r.service.UID, Port: port, Reason: reason, Message: message,
	})
}

// obstacle is the transport of a port that cannot be published, or UDP when only its name says so.
func obstacle(port corev1.ServicePort) string {
	if port.Protocol == corev1.ProtocolSCTP {
		return string(corev1.ProtocolSCTP)
	}
	return udp
}
