package publicservices

import (
	"bytes"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// Candidate is a labelled Service reduced to what publishing it needs: a
// publisher of ten thousand stores this of each, and nothing else of the Service. It
// is immutable.
type Candidate struct {
	Namespace, Name string
	// UID distinguishes a Service from a namesake that replaces it.
	UID types.UID

	// hostname orders the document.
	hostname string
	// opening is the published form in JSON but for its closing brace, since the
	// service accounts are not the Service's own and change without it; "" when
	// the Service is not published.
	opening string
	// ports counts the published ones.
	ports int
	// created is when, in seconds of Unix: where there is too much, the oldest are published.
	created int64
	// accounts are those that AccountsAnnotation names.
	accounts []string
	// selectorless is true where people write the endpoints by hand.
	selectorless bool
	rejections   []Rejection
}

// NewCandidate judges a Service as FromService does.
func NewCandidate(service *corev1.Service, clusterDomain string) (*Candidate, error) {
	published, ok, rejections := FromService(service, clusterDomain)
	candidate := &Candidate{
		Namespace: service.Namespace, Name: service.Name, UID: service.UID, rejections: rejections,
		created: service.CreationTimestamp.Unix(), selectorless: len(service.Spec.Selector) == 0,
	}
	if !ok {
		return candidate, nil
	}
	accounts, invalid := annotatedAccounts(service)
	if len(invalid) > 0 {
		candidate.rejections = append(candidate.rejections, candidate.reject(ReasonInvalidServiceAccount, fmt.Sprintf(
			"its annotation %s names %d service accounts that cannot exist, the first is %.80q; correct them",
			AccountsAnnotation, len(invalid), invalid[0])))
	}
	candidate.accounts, candidate.ports = accounts, len(published.Ports)
	encoded, err := json.Marshal(published)
	if err != nil {
		return nil, fmt.Errorf("encode Service %s/%s: %w", service.Namespace, service.Name, err)
	}
	candidate.hostname, candidate.opening = published.Hostname, string(bytes.TrimSuffix(encoded, []byte("}")))
	return candidate, nil
}

func (c *Candidate) reject(reason, message string) Rejection {
	return Rejection{Namespace: c.Namespace, Name: c.Name, UID: c.UID, Reason: reason, Message: message}
}

// tooMany rejects the Service for its service accounts.
func (c *Candidate) tooMany(accounts int) Rejection {
	return c.reject(ReasonTooManyServiceAccounts, fmt.Sprintf(
		"its Pods use %d service accounts, more than %d; let them share some, or publish several Services",
		accounts, metadata.MaxServiceAccounts))
}
