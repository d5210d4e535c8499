package peers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/informer"
)

// plurals are the names in URLs of the kinds whose resources give rights.
var plurals = map[string]string{
	v1alpha1.IstioFederationKind:   v1alpha1.IstioFederationResource,
	v1alpha1.IstioMulticlusterKind: v1alpha1.IstioMulticlusterResource,
}

// Cluster is where a Syncer reads.
type Cluster struct {
	// Secrets of Namespace.
	Secrets   informer.Reader[*corev1.SecretList]
	Namespace string
	// Resources reads the metadata of the resources, which stays small whatever their status holds.
	Resources metadata.Interface
}

// Syncer keeps a Registry as the API server has it. While the API server cannot be
// reached, all stays as it was; when the Secret is deleted, no peer is accepted.
type Syncer struct {
	registry       *Registry
	log            *slog.Logger
	count, invalid prometheus.Gauge

	secret    *informer.Informer
	secretKey string
	// existing are the resources of each of the registry's kinds.
	existing []*informer.Informer
	changed  informer.Signal
	synced   atomic.Bool

	// For Run's goroutine only: the Secret that was read last, and the problem that was reported.
	read    *corev1.Secret
	problem string
}

// NewSyncer makes a Syncer for registry. It sets count to the number of peers with
// rights, and invalid to 1 while the Secret cannot be used in full.
func NewSyncer(registry *Registry, cluster Cluster, count, invalid prometheus.Gauge, log *slog.Logger) (*Syncer, error) {
	s := &Syncer{
		registry: registry, log: log, count: count, invalid: invalid,
		secretKey: cluster.Namespace + "/" + SecretName, changed: informer.NewSignal(),
	}
	var err error
	s.secret, err = informer.New(informer.Source[*corev1.SecretList]{
		Reader: cluster.Secrets, Example: &corev1.Secret{}, Name: "Secret " + s.secretKey,
		Select: informer.Named(SecretName), Strip: informer.StripMetadata,
	}, log, informer.OnEvery(s.changed.Set))
	if err != nil {
		return nil, err
	}
	for _, kind := range registry.kinds {
		plural, known := plurals[kind]
		if !known {
			return nil, fmt.Errorf("watch which resources of kind %s exist: resources of this kind give no peer any rights", kind)
		}
		watched, err := informer.New(informer.Source[*metav1.PartialObjectMetadataList]{
			Reader:  cluster.Resources.Resource(schema.GroupVersionResource{Group: v1alpha1.Group, Version: v1alpha1.Version, Resource: plural}),
			Client:  cluster.Resources,
			Example: &metav1.PartialObjectMetadata{}, Name: plural, Strip: stripExisting,
			Consequence: "no peer has rights before the first list, and after it the last known state stays in force",
		}, log, s.existenceEvents())
		if err != nil {
			return nil, err
		}
		s.existing = append(s.existing, watched)
	}
	return s, nil
}

// existenceEvents ignores most updates: those of a status.
func (s *Syncer) existenceEvents() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { s.changed.Set() },
		UpdateFunc: func(before, after any) {
			old, wasThere := before.(*metav1.PartialObjectMetadata)
			now, isThere := after.(*metav1.PartialObjectMetadata)
			if !wasThere || !isThere || old.UID != now.UID || old.DeletionTimestamp.IsZero() != now.DeletionTimestamp.IsZero() {
				s.changed.Set()
			}
		},
		DeleteFunc: func(any) { s.changed.Set() },
	}
}

// stripExisting keeps who the object is, whether it is being deleted, and the
// version by which an informer tells an update from a repetition.
var stripExisting = informer.Stripping(func(whole *metav1.PartialObjectMetadata) (any, error) {
	return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: whole.Name, UID: whole.UID, ResourceVersion: whole.ResourceVersion, DeletionTimestamp: whole.DeletionTimestamp,
	}}, nil
})

// Ready returns nil once the Registry is synced, and before that the reason why it is not.
func (s *Syncer) Ready() error {
	if s.synced.Load() {
		return nil
	}
	for _, each := range s.informers() {
		if err := each.Ready(); err != nil {
			return err
		}
	}
	return errors.New("reading the accepted peers")
}

func (s *Syncer) informers() []*informer.Informer { return append(slices.Clone(s.existing), s.secret) }

// Run syncs until ctx ends.
func (s *Syncer) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	if !informer.Start(ctx, &running, s.informers()...) {
		return nil
	}
	for {
		s.sync()
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
		}
	}
}

func (s *Syncer) sync() {
	changed := s.registry.SetExisting(s.existingNow())
	object, _, _ := s.secret.GetStore().GetByKey(s.secretKey)
	secret, _ := object.(*corev1.Secret)
	// Informers never change an object: one that was read needs not be parsed again.
	if !s.synced.Load() || secret != s.read {
		s.read = secret
		acceptedChanged, err := s.accept(secret)
		changed = changed || acceptedChanged
		s.report(err)
	}
	peers := s.registry.Current()
	if changed {
		s.log.Info("peers changed", "count", peers.Len(), "deletedResources", peers.Deleted())
	}
	s.count.Set(float64(peers.Len()))
	s.synced.Store(true)
}

// existingNow returns the resources that exist. One that is being deleted does
// not, though a finalizer may hold it: a person has taken back what it allows.
func (s *Syncer) existingNow() Existing {
	var existing []Resource
	for index, kind := range s.registry.kinds {
		for _, object := range s.existing[index].GetStore().List() {
			if found, ok := object.(*metav1.PartialObjectMetadata); ok && found.DeletionTimestamp.IsZero() {
				existing = append(existing, Resource{Kind: kind, Name: found.Name, UID: found.UID})
			}
		}
	}
	return ExistingOf(existing...)
}

func (s *Syncer) accept(secret *corev1.Secret) (changed bool, err error) {
	if secret == nil {
		return s.registry.SetAccepted(nil)
	}
	content, present := secret.Data[SecretKey]
	if !present {
		return false, fmt.Errorf("the Secret has no key %s", SecretKey)
	}
	return s.registry.SetAccepted(content)
}

// report logs each problem once, and once that it has been solved.
func (s *Syncer) report(problem error) {
	text, invalid := "", 0.0
	if problem != nil {
		text, invalid = problem.Error(), 1
	}
	s.invalid.Set(invalid)
	if text == s.problem {
		return
	}
	s.problem = text
	if text == "" {
		s.log.Info("the Secret of accepted peers can be used again", "secret", s.secretKey)
		return
	}
	s.log.Error("the Secret of accepted peers cannot be used in full", "secret", s.secretKey, "error", text)
}
