package publicservices

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

// Document is the federation document and what came of making it.
type Document struct {
	// Body is a metadata.Federation in JSON.
	Body []byte
	// Gateways of the document, sorted, without duplicates.
	Gateways []metadata.IngressGateway
	// Services counts those that are published.
	Services int
	// Rejections are the Services, or ports of them, that are not.
	Rejections []Rejection
}

const (
	// roomForGrowth is for changes since the size was estimated, in bytes.
	roomForGrowth = 4096
	// roomForAccounts of one service: more makes the body be copied to a bigger buffer.
	roomForAccounts = len(`,"serviceAccounts":[]},`)
)

// NewDocument makes the federation document. Equal inputs in any order give an
// equal document: services are sorted by hostname, ports by number, gateways by
// address and port without duplicates. Neither list is ever null. Without
// accountsOf the document does not say which identities answer for a Service.
// lastSize is the size of the document before, if there was one: most changes
// change it little.
//
// It is put together from what each Candidate has ready, and makes nothing of
// its size but the body: with thousands of Services that is megabytes, for each
// change of one of them.
func NewDocument(candidates []*Candidate, gateways []metadata.IngressGateway, lastSize int, accountsOf ServiceAccountsOf) (Document, error) {
	made := Document{Gateways: sorted(gateways)}
	services := make([]*Candidate, 0, len(candidates))
	size := 0
	for _, candidate := range candidates {
		made.Rejections = append(made.Rejections, candidate.rejections...)
		if candidate.opening != "" {
			services = append(services, candidate)
			size += len(candidate.opening) + roomForAccounts
		}
	}
	slices.SortFunc(services, func(a, b *Candidate) int { return cmp.Compare(a.hostname, b.hostname) })

	encodedGateways, err := json.Marshal(made.Gateways)
	if err != nil {
		return Document{}, fmt.Errorf("encode the ingress gateways: %w", err)
	}
	body := make([]byte, 0, max(size, lastSize)+len(encodedGateways)+roomForGrowth)
	body = append(append(body, `{"ingressGateways":`...), encodedGateways...)
	body = append(body, `,"publicServices":[`...)
	for _, service := range services {
		var accounts []string
		if accountsOf != nil {
			accounts = accountsOf(service)
		}
		if len(accounts) > metadata.MaxServiceAccounts {
			made.Rejections = append(made.Rejections, service.tooMany(len(accounts)))
			continue
		}
		if made.Services > 0 {
			body = append(body, ',')
		}
		made.Services++
		if body, err = service.appendTo(body, accounts); err != nil {
			return Document{}, err
		}
	}
	body = append(body, "]}"...)
	made.Body = body
	slices.SortFunc(made.Rejections, func(a, b Rejection) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Port, b.Port))
	})
	return made, nil
}

// sorted returns the gateways in order, each once, in a list that is never nil.
func sorted(gateways []metadata.IngressGateway) []metadata.IngressGateway {
	ordered := append([]metadata.IngressGateway{}, gateways...)
	slices.SortFunc(ordered, func(a, b metadata.IngressGateway) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Port, b.Port))
	})
	return slices.Compact(ordered)
}

// appendTo appends the published form with those service accounts; nil leaves them out.
func (c *Candidate) appendTo(body []byte, accounts []string) ([]byte, error) {
	body = append(body, c.opening...)
	if accounts == nil {
		return append(body, '}'), nil
	}
	body = append(body, `,"serviceAccounts":`...)
	if len(accounts) == 0 { // most often, while Services have no Pods in the mesh
		return append(body, "[]}"...), nil
	}
	// Encoded like any text: the annotation may have anything in it.
	encoded, err := json.Marshal(accounts)
	if err != nil {
		return nil, fmt.Errorf("encode the service accounts of Service %s/%s: %w", c.Namespace, c.Name, err)
	}
	return append(append(body, encoded...), '}'), nil
}
