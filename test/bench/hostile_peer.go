package main

import (
	"strings"
	"time"

	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// sendLargeETags has the documents fill a status, each part of it within its bound; nothing is imported.
func (p *fakePeer) sendLargeETags() {
	for range 100 {
		p.services = append(p.services, metadata.PublicService{Hostname: strings.Repeat("<", 300)})
	}
	prepared, err := newServed(metadata.Federation{IngressGateways: []metadata.IngressGateway{}, PublicServices: p.services})
	if err != nil { // it is of strings
		panic(err)
	}
	tag := `"` + strings.Repeat("<", 62_000) + `"`
	p.private, p.private.etag, p.public.etag = prepared, tag, tag
}

// sendLargeRoots has the public document name as many roots as it may, each as large as one may be.
func (p *fakePeer) sendLargeRoots() {
	p.publicDocument.RootCA = certtest.LargeRoots(16, time.Now())
	prepared, err := newServed(p.publicDocument)
	if err != nil { // it is of strings
		panic(err)
	}
	p.public = prepared
}
