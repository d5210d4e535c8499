// Package federation decides what a federation peer's metadata becomes here:
// which of its published services are accepted, which ServiceEntries and
// DestinationRules they want, and what has to change to get there.
package federation

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/echo"
	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// Reasons of a RejectedService.
const (
	ReasonForeignHostname     = "HostnameOutsideTrustDomain"
	ReasonInvalidHostname     = "InvalidHostname"
	ReasonDuplicateHostname   = "DuplicateHostname"
	ReasonInvalidPorts        = "InvalidPorts"
	ReasonUnsupportedProtocol = "UnsupportedProtocol"
	// ReasonInvalidServiceAccounts: an identity that no service account can have.
	ReasonInvalidServiceAccounts = "InvalidServiceAccounts"
)

const (
	// MaxRejectedServices bounds the list in a status; a peer must not be able to fill an object with rubbish.
	MaxRejectedServices = 100
	maxEchoedHostname   = 300
)

// protocols that Istio carries between clusters, in Istio's spelling.
var protocols = map[string]string{
	"HTTP": "HTTP", "HTTP2": "HTTP2", "HTTPS": "HTTPS", "GRPC": "GRPC", "GRPC-WEB": "GRPC-WEB",
	"TLS": "TLS", "TCP": "TCP", "MONGO": "MONGO", "MYSQL": "MYSQL", "REDIS": "REDIS",
}

// BreaksTrust is true for a rejection that means the peer spoke for another
// cluster, unlike one that only means this cluster cannot import the service.
func BreaksTrust(rejected v1alpha1.RejectedService) bool {
	return rejected.Reason == ReasonForeignHostname
}

// Verdict is what becomes of a peer's published services.
type Verdict struct {
	// Accepted services, sorted by hostname. Ports that cannot be imported are
	// left out of them; each is among the rejections.
	Accepted []metadata.PublicService
	// Rejected names at most MaxRejectedServices rejections, those that break
	// trust first, then by hostname.
	Rejected []v1alpha1.RejectedService
	// RejectedTotal counts all rejections.
	RejectedTotal int
}

// Judge separates the services that may be imported from those that may not.
func Judge(published []metadata.PublicService, trustDomain string) Verdict {
	var (
		accepted          []metadata.PublicService
		breaches, offered []v1alpha1.RejectedService
		total             int
	)
	seen := map[string]bool{}
	for _, service := range published {
		reject := func(reason, format string, args ...any) {
			total++
			rejection := v1alpha1.RejectedService{
				Hostname: echo.Text(service.Hostname, maxEchoedHostname),
				Reason:   reason,
				Message:  fmt.Sprintf(format, args...),
			}
			switch {
			case BreaksTrust(rejection) && len(breaches) < MaxRejectedServices:
				breaches = append(breaches, rejection)
			case !BreaksTrust(rejection) && len(offered) < MaxRejectedServices:
				offered = append(offered, rejection)
			}
		}
		if reason, err := checkHostname(service.Hostname, trustDomain); err != nil {
			reject(reason, "%v", err)
			continue
		}
		if seen[service.Hostname] {
			reject(ReasonDuplicateHostname, "published more than once; the first one is used")
			continue
		}
		seen[service.Hostname] = true

		ports, ok := judgePorts(service.Ports, reject)
		if !ok {
			continue
		}
		serviceAccounts, ok := judgeServiceAccounts(service.ServiceAccounts, reject)
		if ok {
			accepted = append(accepted, metadata.PublicService{Hostname: service.Hostname, Ports: ports, ServiceAccounts: serviceAccounts})
		}
	}
	slices.SortStableFunc(accepted, func(a, b metadata.PublicService) int { return cmp.Compare(a.Hostname, b.Hostname) })
	for _, list := range [][]v1alpha1.RejectedService{breaches, offered} {
		slices.SortStableFunc(list, func(a, b v1alpha1.RejectedService) int { return cmp.Compare(a.Hostname, b.Hostname) })
	}
	rejected := slices.Concat(breaches, offered[:min(len(offered), MaxRejectedServices-len(breaches))])
	return Verdict{Accepted: accepted, Rejected: rejected, RejectedTotal: total}
}

// checkHostname holds a peer to its own domain (architecture, "Trust", rule 1).
func checkHostname(hostname, trustDomain string) (reason string, err error) {
	prefix, own := strings.CutSuffix(hostname, ".svc."+trustDomain)
	if !own {
		return ReasonForeignHostname, fmt.Errorf("is not <service>.<namespace>.svc.%s: a peer speaks only for its own trust domain", trustDomain)
	}
	name, namespace, ok := strings.Cut(prefix, ".")
	if !ok {
		return ReasonInvalidHostname, fmt.Errorf("is not <service>.<namespace>.svc.%s", trustDomain)
	}
	for _, label := range []string{name, namespace} {
		if messages := validation.IsDNS1123Label(label); len(messages) > 0 {
			return ReasonInvalidHostname, fmt.Errorf("%.80q: %s", label, strings.Join(messages, "; "))
		}
	}
	if !metadata.IsHostname(trustDomain) {
		return ReasonInvalidHostname, errors.New("ends in a number or has a part of more than 63 characters, which Istio does not accept as a host name")
	}
	if len(hostname) > metadata.MaxHostnameLength {
		return ReasonInvalidHostname, fmt.Errorf("has %d characters, more than %d", len(hostname), metadata.MaxHostnameLength)
	}
	return "", nil
}

// judgePorts returns the ports that can be imported; false when there are none. A
// port that cannot be imported is left out, and the others are used. Of two ports
// with one name or number the first is used.
func judgePorts(published []metadata.ServicePort, reject func(reason, format string, args ...any)) ([]metadata.ServicePort, bool) {
	if len(published) == 0 {
		reject(ReasonInvalidPorts, "has no ports")
		return nil, false
	}
	names, numbers := map[string]bool{}, map[int32]bool{}
	var ports []metadata.ServicePort
	for index, port := range published {
		if len(ports) == metadata.MaxServicePorts {
			reject(ReasonInvalidPorts, "has %d ports; the first %d usable ports are used", len(published), metadata.MaxServicePorts)
			break
		}
		if problem := checkPort(port); problem != "" {
			reject(ReasonInvalidPorts, "ports[%d]: %s", index, problem)
			continue
		}
		if names[port.Name] || numbers[port.Port] {
			reject(ReasonInvalidPorts, "port %q (%d) is published twice; the first is used", port.Name, port.Port)
			continue
		}
		protocol, ok := protocolOf(port)
		if !ok {
			reject(ReasonUnsupportedProtocol, "port %q (%d): protocol %.40q cannot pass a mutual TLS gateway", port.Name, port.Port, protocol)
			continue
		}
		names[port.Name], numbers[port.Port] = true, true
		ports = append(ports, metadata.ServicePort{Name: port.Name, Port: port.Port, Protocol: protocol})
	}
	slices.SortFunc(ports, func(a, b metadata.ServicePort) int { return cmp.Compare(a.Port, b.Port) })
	return ports, len(ports) > 0
}

// checkPort returns what is wrong with the name or the number of a port; nothing when both are usable.
func checkPort(port metadata.ServicePort) string {
	if len(port.Name) > metadata.MaxPortNameLength {
		return fmt.Sprintf("port name %.80q has more than %d characters", port.Name, metadata.MaxPortNameLength)
	}
	if messages := validation.IsDNS1123Label(port.Name); len(messages) > 0 {
		return fmt.Sprintf("port name %.80q: %s", port.Name, strings.Join(messages, "; "))
	}
	if messages := validation.IsValidPortNum(int(port.Port)); len(messages) > 0 {
		return fmt.Sprintf("port %q: number %d: %s", port.Name, port.Port, strings.Join(messages, "; "))
	}
	return ""
}

// protocolOf a port in Istio's spelling; false when it cannot pass between
// clusters. A publisher that leaves it out, as Deckhouse's own module
// does, means what the port's name says (contract, "Publishing a Service").
func protocolOf(port metadata.ServicePort) (string, bool) {
	name := cmp.Or(port.Protocol, metadata.ProtocolOfName(port.Name))
	protocol, ok := protocols[strings.ToUpper(name)]
	if !ok {
		return name, false
	}
	return protocol, true
}

// Import filters accepted services by spec.import: globs (path.Match) on
// "<name>.<namespace>". No globs import everything.
func Import(accepted []metadata.PublicService, globs []string) []metadata.PublicService {
	if len(globs) == 0 {
		return accepted
	}
	return slices.DeleteFunc(slices.Clone(accepted), func(service metadata.PublicService) bool {
		name, rest, _ := strings.Cut(service.Hostname, ".")
		namespace, _, _ := strings.Cut(rest, ".")
		return !slices.ContainsFunc(globs, func(glob string) bool {
			matched, err := path.Match(glob, name+"."+namespace)
			return err == nil && matched
		})
	})
}
