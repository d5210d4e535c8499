package peerstest

import (
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata/fake"
	kubetesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/peers"
)

// Resources is a client for the metadata of IstioFederations and
// IstioMulticlusters. Events wait for a watch: none is lost between list and watch.
type Resources struct {
	*fake.FakeMetadataClient
	tb testing.TB

	mu      sync.Mutex
	version int
	// objects and events by the plural of their kind.
	objects map[string]map[string]*metav1.PartialObjectMetadata
	events  map[string]*watch.RaceFreeFakeWatcher
	failure error
}

var plurals = map[string]string{
	v1alpha1.IstioFederationKind: v1alpha1.IstioFederationResource, v1alpha1.IstioMulticlusterKind: v1alpha1.IstioMulticlusterResource,
}

// NewResources makes a client that finds those resources.
func NewResources(tb testing.TB, resources ...peers.Resource) *Resources {
	tb.Helper()
	scheme := fake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		tb.Fatal(err)
	}
	c := &Resources{
		FakeMetadataClient: fake.NewSimpleMetadataClient(scheme), tb: tb,
		objects: map[string]map[string]*metav1.PartialObjectMetadata{}, events: map[string]*watch.RaceFreeFakeWatcher{},
	}
	for _, plural := range plurals {
		c.objects[plural] = map[string]*metav1.PartialObjectMetadata{}
		c.events[plural] = watch.NewRaceFreeFake()
	}
	for _, each := range resources {
		c.objects[plurals[each.Kind]][each.Name] = c.object(each)
	}
	c.PrependReactor("list", "*", c.list)
	c.PrependWatchReactor("*", c.watch)
	return c
}

// object makes an object with a new version. The caller holds mu, or is the only one.
func (c *Resources) object(of peers.Resource) *metav1.PartialObjectMetadata {
	c.version++
	return &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.APIVersion, Kind: of.Kind},
		ObjectMeta: metav1.ObjectMeta{Name: of.Name, UID: of.UID, ResourceVersion: strconv.Itoa(c.version)},
	}
}

func (c *Resources) list(action kubetesting.Action) (bool, runtime.Object, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil {
		return true, nil, c.failure
	}
	list := &metav1.List{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(c.version)}}
	objects := c.objects[action.GetResource().Resource]
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		list.Items = append(list.Items, runtime.RawExtension{Object: objects[name].DeepCopy()})
	}
	return true, list, nil
}

func (c *Resources) watch(action kubetesting.Action) (bool, watch.Interface, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return true, c.events[action.GetResource().Resource], c.failure
}

// Create a resource.
func (c *Resources) Create(of peers.Resource) {
	c.mu.Lock()
	defer c.mu.Unlock()
	made := c.object(of)
	c.objects[plurals[of.Kind]][of.Name] = made
	c.events[plurals[of.Kind]].Add(made.DeepCopy())
}

// Annotate changes something of a resource that does not matter.
func (c *Resources) Annotate(kind, name, value string) {
	c.change(kind, name, func(object *metav1.PartialObjectMetadata) {
		object.Annotations = map[string]string{"note": value}
	})
}

// BeginDeletion of a resource that a finalizer holds.
func (c *Resources) BeginDeletion(kind, name string) {
	c.change(kind, name, func(object *metav1.PartialObjectMetadata) {
		now := metav1.Now()
		object.DeletionTimestamp, object.Finalizers = &now, []string{"example.com/held"}
	})
}

// Replace a resource by another of that name, without a moment in between that a watch would see.
func (c *Resources) Replace(kind, name string, uid types.UID) {
	c.change(kind, name, func(object *metav1.PartialObjectMetadata) { object.UID = uid })
}

func (c *Resources) change(kind, name string, apply func(*metav1.PartialObjectMetadata)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed, exists := c.objects[plurals[kind]][name]
	if !exists {
		c.tb.Errorf("there is no %s %q to change", kind, name)
		return
	}
	changed = changed.DeepCopy()
	c.version++
	changed.ResourceVersion = strconv.Itoa(c.version)
	apply(changed)
	c.objects[plurals[kind]][name] = changed
	c.events[plurals[kind]].Modify(changed.DeepCopy())
}

// Delete a resource.
func (c *Resources) Delete(kind, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gone, exists := c.objects[plurals[kind]][name]
	if !exists {
		c.tb.Errorf("there is no %s %q to delete", kind, name)
		return
	}
	delete(c.objects[plurals[kind]], name)
	c.events[plurals[kind]].Delete(gone.DeepCopy())
}

// Fail answers lists and new watches with that error from now on, nil ends it.
// Watches that are open end.
func (c *Resources) Fail(failure error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failure = failure
	for plural, events := range c.events {
		events.Stop()
		c.events[plural] = watch.NewRaceFreeFake()
	}
}
