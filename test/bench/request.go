package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/test/mesh"
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// requested is what was measured between two clusters, from a label on a Service
// in one to an answered request of a client in the other.
type requested struct {
	// Services are published besides.
	Services int
	// Trips are the times since the label, one map for each label.
	Trips []map[hop]time.Duration
	// LoadBefore and LoadAfter are the machine's, over 1, 5 and 15 minutes.
	LoadBefore, LoadAfter string
}

// crossing is a client that calls a Service of another cluster, and what watches the way between them.
type crossing struct {
	consumer, publisher *cluster
	host                string
	timeline            *timeline
	calls               *calls
	sidecar             *sidecar
	// peer is another one of the publisher's.
	peer *caller
}

// measureRequests labels the demonstration's Service, and again, beside so many others.
func measureRequests(ctx context.Context, clusters []*cluster, services, tries int) (_ *requested, err error) {
	if len(clusters) < 2 {
		return nil, errors.New("the lab has one cluster: requests need two, federated ones")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	x := &crossing{consumer: clusters[0], publisher: clusters[1], timeline: newTimeline()}
	x.host = fmt.Sprintf("%s.%s.svc.%s", demoService, demoNamespace, x.publisher.ClusterDomain)
	if services > 0 {
		progress("publishing %d Services besides", services)
		if err := x.publisher.publishMany(ctx, services); err != nil {
			return nil, err
		}
	}
	if err := startDemonstration(ctx, x.consumer, x.publisher, x.host); err != nil {
		return nil, err
	}
	if err := x.publish(ctx, false); err != nil {
		return nil, err
	}
	leave, err := x.addPeer(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, leave()) }()
	stop, err := x.observe(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	row := &requested{Services: services, LoadBefore: loadAverage()}
	for try := range tries {
		trip, err := x.travel(ctx)
		if err != nil {
			return nil, fmt.Errorf("label %d of %d: %w", try+1, tries, err)
		}
		row.Trips = append(row.Trips, trip)
		if try%10 == 0 || try == tries-1 {
			progress("%d of %d labels: ServiceEntry after %s, an answered request after %s", try+1, tries, short(trip[entryHop]), short(trip[answeredHop]))
		}
	}
	row.LoadAfter = loadAverage()
	return row, nil
}

// addPeer gives the publisher one more peer, which sees when the document changes.
func (x *crossing) addPeer(ctx context.Context) (leave func() error, err error) {
	peer, err := newFakePeer("bench", 0)
	if err != nil {
		return nil, err
	}
	x.peer = newCaller(peer, x.publisher.MetadataEndpoint, x.publisher.ClusterUUID)
	leave = func() error {
		// Even when the benchmark was interrupted: the lab may be a person's.
		err := x.publisher.dynamic.Resource(federations).Delete(context.Background(), peer.name, metav1.DeleteOptions{})
		x.peer.close()
		peer.close()
		return err
	}
	if err := x.publisher.federate(ctx, []*fakePeer{peer}); err != nil {
		peer.close()
		return nil, err
	}
	if err := x.peer.awaitAdmission(ctx, 0); err != nil {
		return nil, errors.Join(err, leave())
	}
	return leave, nil
}

// observe the consumer: what is written to its API, what a sidecar is sent, and how the client's calls end.
func (x *crossing) observe(ctx context.Context) (stop func(), err error) {
	for _, resource := range []schema.GroupVersionResource{configMaps, federations, serviceEntries} {
		if err := follow(ctx, x.consumer.dynamic, resource, x); err != nil {
			return nil, err
		}
	}
	if x.sidecar, err = startSidecar(ctx, x.consumer); err != nil {
		return nil, err
	}
	if x.calls, err = startCalls(ctx, x.consumer, "http://"+x.host+"/", x.timeline); err != nil {
		x.sidecar.close()
		return nil, err
	}
	return func() {
		x.calls.stop()
		x.sidecar.close()
	}, nil
}

// note what is written to the consumer's API.
func (x *crossing) note(resource schema.GroupVersionResource, kind watch.EventType, object *unstructured.Unstructured) {
	now := time.Now()
	switch {
	case kind == watch.Deleted:
	case resource == configMaps && object.GetNamespace() == v1alpha1.Namespace && object.GetName() == v1alpha1.FederationVersions:
		x.timeline.pass(revisionHop, now)
	case resource == federations && object.GetName() == x.publisher.Name && offers(object, x.host):
		x.timeline.pass(statusHop, now)
	case resource == serviceEntries && isFor(object, x.host):
		x.timeline.pass(entryHop, now)
		if addresses, _, _ := unstructured.NestedSlice(object.Object, "status", "addresses"); len(addresses) > 0 {
			x.timeline.pass(addressHop, now)
		}
	}
}

func (x *crossing) fail(err error) { x.timeline.fail(err) }

// offers reports whether the peer offers the host, by the status of its IstioFederation.
func offers(federation *unstructured.Unstructured, host string) bool {
	services, _, _ := unstructured.NestedSlice(federation.Object, "status", "metadataCache", "private", "publicServices")
	for _, item := range services {
		if service, ok := item.(map[string]any); ok && service["hostname"] == host {
			return true
		}
	}
	return false
}

func isFor(entry *unstructured.Unstructured, host string) bool {
	hosts, _, _ := unstructured.NestedStringSlice(entry.Object, "spec", "hosts")
	return slices.Contains(hosts, host)
}

// travel labels the Service, follows that to an answered request, and takes the label off again.
func (x *crossing) travel(ctx context.Context) (map[hop]time.Duration, error) {
	if err := x.awaitUnpublished(ctx); err != nil {
		return nil, err
	}
	if err := x.peer.fetch(ctx); err != nil {
		return nil, err
	}
	// Programs look for work at intervals: a label must not always come at the same point of them.
	if err := pause(ctx, rand.N(time.Second)); err != nil { //nolint:gosec // nobody gains by guessing it
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := hold(ctx, []*caller{x.peer})
	x.timeline.restart()
	go func() {
		at, err := lastOf(answers)
		x.passOrFail(ctx, documentHop, at, err)
	}()
	go func() {
		at, err := x.sidecar.awaitRoute(ctx, x.host)
		x.passOrFail(ctx, configHop, at, err)
	}()
	begun := time.Now()
	if err := x.publish(ctx, true); err != nil {
		return nil, err
	}
	x.timeline.pass(acceptedHop, time.Now())
	trip, err := x.timeline.await(ctx, begun)
	if err != nil {
		return nil, err
	}
	return trip, x.publish(ctx, false)
}

func (x *crossing) passOrFail(ctx context.Context, hop hop, at time.Time, err error) {
	if err == nil {
		x.timeline.pass(hop, at)
	} else if ctx.Err() == nil {
		x.timeline.fail(fmt.Errorf("%s: %w", hop, err))
	}
}

// awaitUnpublished waits until nothing of the Service is left in the consumer.
func (x *crossing) awaitUnpublished(ctx context.Context) error {
	if err := x.sidecar.awaitNoRoute(ctx, x.host); err != nil {
		return err
	}
	return x.calls.awaitUnanswered(ctx)
}

// publish the Service, or unpublish it.
func (x *crossing) publish(ctx context.Context, public bool) error {
	value := "null"
	if public {
		value = `""`
	}
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%s}}}`, v1alpha1.PublicServiceLabel, value)
	_, err := x.publisher.typed.CoreV1().Services(demoNamespace).Patch(ctx, demoService, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("label Service %s: %w", demoService, err)
	}
	return nil
}

// route returns what a sidecar lacks to send requests to the host, "" when nothing.
func route(view *mesh.View, host string) string {
	name := mesh.Outbound(demoPort, "", host)
	endpoints, err := view.EndpointsOf(name)
	if err == nil && len(endpoints) == 0 {
		return "no endpoint of " + name
	}
	if err == nil {
		_, err = view.Split(host, demoPort)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
