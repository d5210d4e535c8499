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

// roomForGrowth is for changes since the size was estimated, in bytes.
const roomForGrowth = 4096

// NewDocument makes the federation document. Equal inputs in any order give an
// equal document: services are sorted by hostname, ports by number, gateways by
// address and port without duplicates. Neither list is ever null. Without
// accountsOf the document does not name the identities that answer for a Service.
// sizes remembers the compressed sizes of parts between documents; nil remembers nothing.
//
// The document is one that peers accept: where the Services together exceed the
// limits of package metadata, each namespace gets a fair share, and the surplus
// is rejected by name.
//
// It is assembled from what each Candidate has encoded, and only the body has its
// size: with thousands of Services that is megabytes, for each change of one of them.
func NewDocument(candidates []*Candidate, gateways []metadata.IngressGateway, sizes *Sizes, accountsOf ServiceAccountsOf) (Document, error) {
	made := Document{Gateways: metadata.SortedGateways(gateways)}
	encodedGateways, err := json.Marshal(made.Gateways)
	if err != nil {
		return Document{}, fmt.Errorf("encode the ingress gateways: %w", err)
	}
	entries := made.judge(candidates, accountsOf)
	if sizes == nil {
		sizes = &Sizes{}
	}
	limits := limitsBeside(len(made.Gateways), len(encodedGateways))
	published, surplus, err := sizes.choose(entries, limits)
	if err != nil {
		return Document{}, err
	}
	for _, each := range surplus {
		made.Rejections = append(made.Rejections, each.beyondShare())
	}
	made.Services = len(published)
	if made.Body, err = encode(published, encodedGateways); err != nil {
		return Document{}, err
	}
	slices.SortFunc(made.Rejections, func(a, b Rejection) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Reason, b.Reason))
	})
	return made, nil
}

// judge returns what may be published, sorted by hostname, and notes the rejections of the rest.
func (d *Document) judge(candidates []*Candidate, accountsOf ServiceAccountsOf) []entry {
	entries := make([]entry, 0, len(candidates))
	for _, candidate := range candidates {
		d.Rejections = append(d.Rejections, candidate.rejections...)
		if candidate.opening == "" {
			continue
		}
		var accounts []string
		if accountsOf != nil {
			accounts = accountsOf(candidate)
		}
		if len(accounts) > metadata.MaxServiceAccounts {
			d.Rejections = append(d.Rejections, candidate.tooMany(len(accounts)))
			continue
		}
		entries = append(entries, newEntry(candidate, accounts, len(d.Gateways)))
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.hostname, b.hostname) })
	return entries
}

func encode(entries []entry, encodedGateways []byte) ([]byte, error) {
	body := make([]byte, 0, total(entries)[plainBytes]+len(encodedGateways)+roomForGrowth)
	body = append(append(body, `{"ingressGateways":`...), encodedGateways...)
	body = append(body, `,"publicServices":[`...)
	var err error
	for index, each := range entries {
		if index > 0 {
			body = append(body, ',')
		}
		if body, err = each.appendTo(body, each.accounts); err != nil {
			return nil, err
		}
	}
	return append(body, "]}"...), nil
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
