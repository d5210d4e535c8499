package publicservices

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// AccountsAnnotation on a Service is Istio's: names of further service accounts
// of the Service's namespace, separated by commas, that may run it outside of Pods.
const AccountsAnnotation = "alpha.istio.io/kubernetes-serviceaccounts"

const (
	// ReasonTooManyServiceAccounts means that the Pods of a Service use more service accounts than peers accept.
	ReasonTooManyServiceAccounts = "TooManyServiceAccounts"
	// ReasonInvalidServiceAccount means that AccountsAnnotation names something that cannot be a service account.
	ReasonInvalidServiceAccount = "InvalidServiceAccount"
)

// ServiceAccountsOf returns the service accounts that may answer for a Service,
// "<namespace>/<name>" each: nil when that cannot be known, none when it has no
// endpoints and never had (metadata.PublicService.ServiceAccounts).
type ServiceAccountsOf func(service *Candidate) []string

// Endpoint is an endpoint of a Service.
type Endpoint struct {
	// IsPod is false for an address that was entered by hand.
	IsPod bool
	// ServiceAccount of the Pod, "<namespace>/<name>"; empty when the Pod is not
	// in the mesh, where it has no identity and cannot be reached by a peer.
	ServiceAccount string
}

// ServiceAccounts lists the service accounts of a Service's endpoints, ready
// or not: peers must know an identity before the Pod gets its first request. It is
// nil when the Service may have an endpoint with an unknown identity, which peers
// would reject otherwise.
func ServiceAccounts(service *Candidate, endpoints []Endpoint) []string {
	if len(endpoints) == 0 && service.selectorless && len(service.accounts) == 0 {
		// EndpointSlices written by hand need not have the label by which they are found.
		return nil
	}
	accounts := []string{}
	for _, endpoint := range endpoints {
		if !endpoint.IsPod {
			return nil
		}
		if endpoint.ServiceAccount != "" {
			accounts = append(accounts, endpoint.ServiceAccount)
		}
	}
	accounts = append(accounts, service.accounts...)
	slices.Sort(accounts)
	return slices.Compact(accounts)
}

// annotatedAccounts are the service accounts that AccountsAnnotation names, and
// the names there that no service account can have.
func annotatedAccounts(service *corev1.Service) (accounts, invalid []string) {
	for name := range strings.SplitSeq(service.Annotations[AccountsAnnotation], ",") {
		switch name = strings.TrimSpace(name); {
		case name == "":
		case len(validation.IsDNS1123Subdomain(name)) > 0:
			invalid = append(invalid, name)
		default:
			accounts = append(accounts, service.Namespace+"/"+name)
		}
	}
	return accounts, invalid
}
