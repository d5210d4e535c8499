package publicservices

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// AccountsAnnotation on a Service is Istio's: names of further service accounts
// of the Service's namespace, separated by commas, that may run it outside of Pods.
const AccountsAnnotation = "alpha.istio.io/kubernetes-serviceaccounts"

// ReasonTooManyServiceAccounts means that the Pods of a Service use more service accounts than peers accept.
const ReasonTooManyServiceAccounts = "TooManyServiceAccounts"

// ServiceAccountsOf returns the service accounts that may answer for a Service,
// "<namespace>/<name>" each: nil when that cannot be known, none when it has no
// endpoints and never had (metadata.PublicService.ServiceAccounts).
type ServiceAccountsOf func(service *Candidate) []string

// Endpoint is what stands behind a Service.
type Endpoint struct {
	// IsPod is false for an address that was entered by hand.
	IsPod bool
	// ServiceAccount of the Pod, "<namespace>/<name>"; empty when the Pod is not
	// in the mesh, where it has no identity and cannot be reached from a peer.
	ServiceAccount string
}

// ServiceAccounts collects the service accounts of a Service's endpoints, ready or
// not: peers must know an identity before its Pod gets the first request. It is nil
// when the Service has an endpoint with an unknown identity, which peers would reject.
func ServiceAccounts(service *Candidate, endpoints []Endpoint) []string {
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

// annotatedAccounts are the service accounts that AccountsAnnotation names.
func annotatedAccounts(service *corev1.Service) []string {
	var accounts []string
	for name := range strings.SplitSeq(service.Annotations[AccountsAnnotation], ",") {
		if name = strings.TrimSpace(name); name != "" {
			accounts = append(accounts, service.Namespace+"/"+name)
		}
	}
	return accounts
}
