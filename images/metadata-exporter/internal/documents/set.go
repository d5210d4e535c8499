package documents

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

// Set is every document of this cluster. Its readers need no lock; Update must
// be called by one goroutine at a time. A change of Public also makes new versions
// of Federation and Multicluster.
type Set struct {
	Public       Document
	SPIFFEBundle Document
	Federation   Document
	Multicluster Document

	// ServiceAccountsOf returns the identities that answer for a Service; without
	// it the federation document names none. It must be set before the first Update.
	ServiceAccountsOf publicservices.ServiceAccountsOf

	clusterDomain string
	now           func() time.Time
	settings      settings
	sizes         publicservices.Sizes
	// bundledRoots are the roots SPIFFEBundle was made of: a root that expires
	// later must not fail an update that is about something else.
	bundledRoots string
}

// NewSet makes a Set without documents. clusterDomain ends the hostnames of
// published Services; now is the time at which root certificates must be valid.
func NewSet(clusterDomain string, now func() time.Time) *Set {
	return &Set{clusterDomain: clusterDomain, now: now}
}

// Outcome is what an Update changed, and which of its input it could not use.
type Outcome struct {
	// Changed names the documents (paths relative to the endpoint) that have a new version or were withdrawn.
	Changed []string
	// Services and Gateways of the federation document.
	Services, Gateways int
	// ConfigMapMissing is true when there was no ConfigMap: everything from it stays as it was.
	ConfigMapMissing bool
	// Problems by key of the ConfigMap; the last good value stays in force.
	Problems map[string]error
	// GatewaysDropped is why some gateways of the list are not published; the others are.
	GatewaysDropped error
	// Rejections are the labelled Services that are not published.
	Rejections []publicservices.Rejection
}

// Update prepares the documents from the ConfigMap (nil when it does not
// exist) and the labelled Services. A document whose input has never existed stays
// absent: an empty list would make peers delete everything.
func (s *Set) Update(configMap *corev1.ConfigMap, services []*publicservices.Candidate) (Outcome, error) {
	outcome := Outcome{ConfigMapMissing: configMap == nil}
	if configMap != nil {
		outcome.Problems = s.settings.update(configMap.Data, s.now())
	}
	outcome.GatewaysDropped = s.settings.dropped
	note := func(path string, changed bool) {
		if changed {
			outcome.Changed = append(outcome.Changed, path)
		}
	}
	publicErr := s.updatePublic(note)

	document, err := publicservices.NewDocument(services, s.settings.gateways, &s.sizes, s.ServiceAccountsOf)
	if err != nil {
		return outcome, errors.Join(publicErr, fmt.Errorf("encode %s: %w", metadata.FederationPath, err))
	}
	outcome.Rejections = document.Rejections
	if s.settings.gateways == nil {
		return outcome, publicErr
	}
	outcome.Services, outcome.Gateways = document.Services, len(document.Gateways)
	note(metadata.FederationPath, s.Federation.SetBeside(&s.Public, document.Body))
	return outcome, errors.Join(publicErr, s.updateMulticluster(document.Gateways, note))
}

func (s *Set) updateMulticluster(gateways []metadata.IngressGateway, note func(path string, changed bool)) error {
	if s.settings.multicluster == nil {
		note(metadata.MulticlusterPath, s.Multicluster.Withdraw())
		return nil
	}
	multicluster := *s.settings.multicluster
	multicluster.IngressGateways = gateways
	body, err := json.Marshal(multicluster)
	if err != nil {
		return fmt.Errorf("encode %s: %w", metadata.MulticlusterPath, err)
	}
	note(metadata.MulticlusterPath, s.Multicluster.SetBeside(&s.Public, body))
	return nil
}

func (s *Set) updatePublic(note func(path string, changed bool)) error {
	if s.settings.public == nil {
		return nil
	}
	public := *s.settings.public
	if public.TrustDomain == "" {
		public.TrustDomain = s.clusterDomain
	}
	body, err := json.Marshal(public)
	if err != nil {
		return fmt.Errorf("encode %s: %w", metadata.PublicPath, err)
	}
	note(metadata.PublicPath, s.Public.Set(body))
	if s.SPIFFEBundle.Current() != nil && s.bundledRoots == public.RootCA {
		return nil
	}
	bundle, err := metadata.SPIFFEBundle(public.TrustDomain, public.RootCA, s.now())
	if err != nil {
		return err
	}
	s.bundledRoots = public.RootCA
	note(metadata.SPIFFEBundlePath, s.SPIFFEBundle.Set(bundle))
	return nil
}
