package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

const (
	// background is how many Services are published besides.
	background = 100
	// beginning is how long a hostile object stands before changes are timed.
	beginning = 15 * time.Second
)

// hindered is what was measured between two clusters while nothing hostile stood, and while something did.
type hindered struct {
	Scenes []hinderedScene
}

// hinderedScene is one hostile object, with what was measured right before it stood.
type hinderedScene struct {
	Name            string
	Before, Beside  []time.Duration
	LoadBefore, End string
}

// stage is where hostile objects stand: the consumer imports what the publisher publishes.
type stage struct {
	consumer, publisher *cluster
	account             *ledger
	labels              int
}

// measureHostile times labels in one cluster until their ServiceEntries in another, alone and beside each hostile object.
func measureHostile(ctx context.Context, clusters []*cluster, tries int) (*hindered, error) {
	if len(clusters) < 2 {
		return nil, errors.New("the lab has one cluster: this needs two, federated ones")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &stage{consumer: clusters[0], publisher: clusters[1]}
	var err error
	if s.account, err = open(ctx, s.consumer.dynamic); err != nil {
		return nil, err
	}
	if err := s.publisher.publishMany(ctx, background); err != nil {
		return nil, err
	}
	row := &hindered{}
	for _, hostile := range s.hostile() {
		scene, err := s.measure(ctx, hostile, tries)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", hostile.name, err)
		}
		row.Scenes = append(row.Scenes, *scene)
		progress("%s: p50 %s before, %s beside it", scene.Name, short(percentile(scene.Before, 50)), short(percentile(scene.Beside, 50)))
	}
	return row, nil
}

func (s *stage) measure(ctx context.Context, hostile hostileObject, tries int) (_ *hinderedScene, err error) {
	scene := &hinderedScene{Name: hostile.name}
	if err := s.account.settle(ctx, quiet); err != nil {
		return nil, err
	}
	scene.LoadBefore = loadAverage()
	if scene.Before, err = s.time(ctx, tries, nil); err != nil {
		return nil, err
	}
	remove, err := hostile.stand(ctx)
	defer func() { err = errors.Join(err, remove()) }()
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, beginning); err != nil {
		return nil, err
	}
	if scene.Beside, err = s.time(ctx, tries, hostile.stir); err != nil {
		return nil, err
	}
	scene.End = loadAverage()
	return scene, nil
}

// time so many labels; stir, unless nil, is what the hostile one does before each.
func (s *stage) time(ctx context.Context, tries int, stir func(context.Context) error) (times []time.Duration, err error) {
	for range tries {
		if stir != nil {
			if err := stir(ctx); err != nil {
				return nil, err
			}
		}
		if err := pause(ctx, time.Second+rand.N(time.Second)); err != nil { //nolint:gosec // nobody gains by guessing it
			return nil, err
		}
		s.labels++
		name := fmt.Sprintf("new-%05d", s.labels)
		begun, err := s.publisher.label(ctx, name)
		if err != nil {
			return nil, err
		}
		waiting, cancel := context.WithTimeout(ctx, changeTimeout)
		at, err := s.account.arrival(waiting, fmt.Sprintf("%s.%s.svc.%s", name, publishedNamespace, s.publisher.ClusterDomain))
		cancel()
		if err != nil {
			return nil, err
		}
		times = append(times, at.Sub(begun))
	}
	return times, nil
}

// hostileObject is something that a peer or a tenant may do.
type hostileObject struct {
	name string
	// stand puts it there; remove must be called even when that has failed.
	stand func(ctx context.Context) (remove func() error, err error)
	// stir changes it; nil where it stands still.
	stir func(ctx context.Context) error
}

func (s *stage) hostile() []hostileObject {
	edits := 0
	return []hostileObject{
		{name: "a peer's ETags of 62,000 bytes, 9,000 Services", stand: func(ctx context.Context) (func() error, error) {
			return s.addHostilePeer(ctx, "tagged", 9_000, func(p *fakePeer) { p.sendLargeETags() })
		}},
		{name: "a peer's 16 roots of 8 KiB", stand: func(ctx context.Context) (func() error, error) {
			return s.addHostilePeer(ctx, "rooted", 0, (*fakePeer).sendLargeRoots)
		}},
		{
			name:  "a tenant's 100,000 ports that cannot be published, edited before each change",
			stand: s.addManyPorts,
			stir: func(ctx context.Context) error {
				edits++
				patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"edited":"%d"}}}`, edits)
				_, err := s.publisher.typed.CoreV1().Services(hostileNamespace).Patch(ctx, "udp-0", types.MergePatchType, patch, metav1.PatchOptions{})
				return err
			},
		},
		{name: fmt.Sprintf("a tenant's %d cluster-local labels", manyLabels), stand: s.addManyLabels},
	}
}

// addHostilePeer federates the consumer with a fake peer.
func (s *stage) addHostilePeer(ctx context.Context, name string, services int, corrupt func(*fakePeer)) (remove func() error, err error) {
	peer, err := newFakePeer(name, services)
	if err != nil {
		return func() error { return nil }, err
	}
	corrupt(peer)
	return func() error {
		defer peer.close()
		return s.consumer.dynamic.Resource(federations).Delete(context.Background(), peer.name, metav1.DeleteOptions{})
	}, s.consumer.federate(ctx, []*fakePeer{peer})
}

const hostileNamespace = "bench-hostile"

// namespace for hostile objects, and what removes it with them.
func (c *cluster) hostileNamespace(ctx context.Context) (remove func() error, err error) {
	namespaces := c.typed.CoreV1().Namespaces()
	_, err = namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: hostileNamespace}}, metav1.CreateOptions{})
	return func() error { return namespaces.Delete(context.Background(), hostileNamespace, metav1.DeleteOptions{}) }, err
}

// addManyPorts are five labelled Services of 20,000 UDP ports each.
func (s *stage) addManyPorts(ctx context.Context) (remove func() error, err error) {
	if remove, err = s.publisher.hostileNamespace(ctx); err != nil {
		return remove, err
	}
	for index := range 5 {
		service := headless(fmt.Sprintf("udp-%d", index), v1alpha1.PublicServiceLabel)
		service.Spec.Ports = nil
		for port := range 20_000 {
			service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Name: fmt.Sprint("p", port+1), Port: int32(port + 1), Protocol: corev1.ProtocolUDP})
		}
		if _, err := s.publisher.typed.CoreV1().Services(hostileNamespace).Create(ctx, service, metav1.CreateOptions{}); err != nil {
			return remove, fmt.Errorf("create a Service of 20,000 ports: %w", err)
		}
	}
	return remove, nil
}

// manyLabels, with the longest names, would not fit into a ConfigMap.
const manyLabels = 7_200

// addManyLabels to the consumer, which they concern only with multicluster.
func (s *stage) addManyLabels(ctx context.Context) (remove func() error, err error) {
	removeNamespace, err := s.consumer.hostileNamespace(ctx)
	remove = func() error {
		return errors.Join(removeNamespace(), s.consumer.setMulticluster(context.Background(), "null"))
	}
	if err == nil {
		err = s.consumer.setMulticluster(ctx, `{"enabled":true}`)
	}
	if err != nil {
		return remove, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for index := range manyLabels {
		group.Go(func() error {
			service := headless(fmt.Sprintf("%s-%05d", strings.Repeat("s", 57), index), v1alpha1.ClusterLocalLabel)
			_, err := s.consumer.typed.CoreV1().Services(hostileNamespace).Create(ctx, service, metav1.CreateOptions{})
			return err
		})
	}
	return remove, group.Wait()
}

func headless(name, label string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{label: ""}},
		Spec:       corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
	}
}

func (c *cluster) setMulticluster(ctx context.Context, value string) error {
	patch := fmt.Appendf(nil, `{"spec":{"settings":{"multicluster":%s}}}`, value)
	_, err := c.dynamic.Resource(moduleConfigs).Patch(ctx, "istio", types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		err = fmt.Errorf("set multicluster of %s: %w", c.Name, err)
	}
	return err
}
