// Package kubelet is the node of a lab cluster: it binds Pods to itself and
// runs their containers as processes of this machine, from the Pod's own
// command, args, env, volumes and ServiceAccount, so that a wrong manifest or
// a missing RBAC rule fails here as it would fail in a cluster.
//
// It has no images: a container is run when the lab has a program for it; a
// Pod with another container has an address, stays Pending and says why.
// Not done: init containers, lifecycle hooks, security contexts, resources,
// hostPath and persistent volumes, exec and gRPC probes.
package kubelet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
)

// refreshInterval is how often volumes are looked at again, for tokens that age.
const refreshInterval = 30 * time.Second

// Options of a kubelet.
type Options struct {
	Client kubernetes.Interface
	// APIServer is the address that the Pods' kubeconfigs name.
	APIServer string
	// Dir is where Pods' folders go, LogDir where their logs go.
	Dir, LogDir string
	// Program finds what runs in the container's stead. Its error is for people:
	// why there is nothing, and what they can do about it.
	Program func(pod *corev1.Pod, container *corev1.Container) (Program, error)
	Network *podnet.Network
	Group   *process.Group
	// Changed is called when a process changes; it must not block.
	Changed func()
}

// Kubelet runs the Pods of one cluster.
type Kubelet struct {
	options Options
	pods    corelisters.PodLister
	sources sources
	tokens  *tokens
	queue   workqueue.TypedRateLimitingInterface[podKey]
	factory informers.SharedInformerFactory

	mu        sync.Mutex
	instances map[types.UID]*instance
}

// New makes a kubelet; Run runs it.
func New(options Options) *Kubelet {
	kubelet := &Kubelet{
		options:   options,
		factory:   informers.NewSharedInformerFactory(options.Client, 0),
		tokens:    newTokens(options.Client),
		instances: map[types.UID]*instance{},
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[podKey](50*time.Millisecond, 5*time.Second)),
	}
	core := kubelet.factory.Core().V1()
	kubelet.pods = core.Pods().Lister()
	kubelet.sources = sources{
		configMaps: core.ConfigMaps().Lister(), secrets: core.Secrets().Lister(), token: kubelet.tokens.token,
	}
	return kubelet
}

// Run runs Pods until the context ends, then stops what runs of them, waits
// until it is gone and returns.
func (k *Kubelet) Run(ctx context.Context) error {
	core := k.factory.Core().V1()
	for informer, enqueue := range map[cache.SharedIndexInformer]func(metav1.Object){
		core.Pods().Informer():       func(o metav1.Object) { k.queue.Add(podKey{Namespace: o.GetNamespace(), Name: o.GetName()}) },
		core.ConfigMaps().Informer(): func(o metav1.Object) { k.enqueueNamespace(o.GetNamespace()) },
		core.Secrets().Informer():    func(o metav1.Object) { k.enqueueNamespace(o.GetNamespace()) },
	} {
		if _, err := informer.AddEventHandler(onAnyChange(enqueue)); err != nil {
			return fmt.Errorf("watch for the kubelet: %w", err)
		}
	}
	k.factory.Start(ctx.Done())
	defer k.factory.Shutdown()
	for kind, synced := range k.factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("the kubelet could not list %s: %w", kind, context.Cause(ctx))
		}
	}
	go k.refresh(ctx)
	go func() {
		<-ctx.Done()
		k.queue.ShutDown()
	}()
	for k.next(ctx) {
	}
	k.stopAll()
	return nil
}

func onAnyChange(enqueue func(metav1.Object)) cache.ResourceEventHandler {
	handle := func(object any) {
		if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = tombstone.Obj
		}
		if meta, ok := object.(metav1.Object); ok {
			enqueue(meta)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: handle, UpdateFunc: func(_, object any) { handle(object) }, DeleteFunc: handle,
	}
}

func (k *Kubelet) refresh(ctx context.Context) {
	ticker := time.NewTicker(refreshInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			k.enqueueNamespace(metav1.NamespaceAll)
		}
	}
}

func (k *Kubelet) enqueueNamespace(namespace string) {
	for _, instance := range k.running() {
		if namespace == metav1.NamespaceAll || instance.key.Namespace == namespace {
			k.queue.Add(instance.key)
		}
	}
}

func (k *Kubelet) running() []*instance {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []*instance
	for _, instance := range k.instances {
		all = append(all, instance)
	}
	slices.SortFunc(all, func(a, b *instance) int {
		return strings.Compare(a.key.String()+string(a.uid), b.key.String()+string(b.uid))
	})
	return all
}

func (k *Kubelet) next(ctx context.Context) bool {
	key, shutdown := k.queue.Get()
	if shutdown {
		return false
	}
	defer k.queue.Done(key)
	if err := k.reconcile(ctx, key); err != nil {
		if ctx.Err() == nil && !apierrors.IsConflict(err) {
			klog.Warningf("kubelet of %s: Pod %s: %v", filepath.Base(filepath.Dir(k.options.Dir)), key, err)
		}
		k.queue.AddRateLimited(key)
		return true
	}
	k.queue.Forget(key)
	return true
}

// reconcile makes what runs of a Pod, and what its status says, fit the Pod.
func (k *Kubelet) reconcile(ctx context.Context, key podKey) error {
	pod, err := k.pods.Pods(key.Namespace).Get(key.Name)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if apierrors.IsNotFound(err) {
		pod = nil
	}
	own := k.stopOthers(key, pod)
	switch {
	case pod == nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed:
		return nil
	case pod.DeletionTimestamp != nil:
		return k.finish(ctx, pod, own)
	case pod.Spec.NodeName == "":
		return k.schedule(ctx, pod)
	case pod.Spec.NodeName != NodeName:
		return nil
	}
	if own == nil {
		if own, err = k.newInstance(pod); err != nil {
			return err
		}
	}
	programs, err := k.programs(pod)
	switch {
	case err != nil && !own.isStarted():
		return k.updateStatus(ctx, pod, unrunnableStatus(pod, own.address, err.Error(), metav1.Now().Rfc3339Copy()))
	case !own.isStarted():
		k.start(pod, own, programs)
	default:
		if err := k.writeVolumes(ctx, own, pod); err != nil {
			// Running containers keep what they have, as in a cluster.
			klog.Warningf("refresh the volumes of Pod %s: %v", key, err)
		}
	}
	return k.updateStatus(ctx, pod, podStatus(pod, own.address, own.observe(), metav1.Now().Rfc3339Copy()))
}

// stopOthers stops instances of Pods of that name that no longer exist, and returns the present one's.
func (k *Kubelet) stopOthers(key podKey, pod *corev1.Pod) (own *instance) {
	for _, instance := range k.running() {
		switch {
		case instance.key != key:
		case pod != nil && instance.uid == pod.UID:
			own = instance
		case instance.isStopped():
			k.forget(instance)
		default:
			instance.stop(func() { k.queue.Add(key) })
		}
	}
	return own
}

// finish stops a Pod that is being deleted and, when nothing of it runs, completes its deletion.
func (k *Kubelet) finish(ctx context.Context, pod *corev1.Pod, own *instance) error {
	if own != nil && !own.isStopped() {
		own.stop(func() { k.queue.Add(own.key) })
		if !own.isStarted() {
			return nil
		}
		return k.updateStatus(ctx, pod, podStatus(pod, own.address, own.observe(), metav1.Now().Rfc3339Copy()))
	}
	options := metav1.DeleteOptions{GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}
	err := k.options.Client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, options)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("complete the deletion of Pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	if own != nil {
		k.forget(own)
	}
	return nil
}

// programs of a Pod's containers, in their order; the error says why the Pod cannot be run here.
func (k *Kubelet) programs(pod *corev1.Pod) ([]Program, error) {
	if len(pod.Spec.InitContainers) > 0 {
		return nil, errors.New("the lab does not run init containers")
	}
	var programs []Program
	for i := range pod.Spec.Containers {
		program, err := k.options.Program(pod, &pod.Spec.Containers[i])
		if err != nil {
			return nil, err
		}
		programs = append(programs, program)
	}
	return programs, nil
}

// newInstance gives the Pod an address and a folder, and makes it known. Nothing of it runs yet.
func (k *Kubelet) newInstance(pod *corev1.Pod) (*instance, error) {
	address, err := k.options.Network.Allocate()
	if err != nil {
		return nil, err
	}
	created := &instance{
		uid: pod.UID, key: podKey{Namespace: pod.Namespace, Name: pod.Name},
		dir:     filepath.Join(k.options.Dir, pod.Namespace+"_"+pod.Name+"_"+string(pod.UID)),
		address: address, stopped: make(chan struct{}),
	}
	if err := os.MkdirAll(created.volumesDir(), 0o755); err != nil {
		k.options.Network.Release(address)
		return nil, fmt.Errorf("prepare Pod %s: %w", created.key, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.instances[created.uid] = created
	return created, nil
}

func (k *Kubelet) forget(instance *instance) {
	k.mu.Lock()
	delete(k.instances, instance.uid)
	k.mu.Unlock()
	k.tokens.forget(instance.uid)
	k.options.Network.Release(instance.address)
	if err := os.RemoveAll(instance.dir); err != nil {
		klog.Warningf("remove the folder of Pod %s: %v", instance.key, err)
	}
	k.options.Changed()
}

func (k *Kubelet) writeVolumes(ctx context.Context, instance *instance, pod *corev1.Pod) error {
	instance.volumes.Lock()
	defer instance.volumes.Unlock()
	for _, volume := range pod.Spec.Volumes {
		dir := filepath.Join(instance.volumesDir(), volume.Name)
		if err := k.sources.writeVolume(ctx, pod, instance.address, volume, dir); err != nil {
			return err
		}
	}
	return nil
}

func (k *Kubelet) updateStatus(ctx context.Context, pod *corev1.Pod, status corev1.PodStatus) error {
	if equality.Semantic.DeepEqual(pod.Status, status) {
		return nil
	}
	changed := pod.DeepCopy()
	changed.Status = status
	_, err := k.options.Client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, changed, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (i *instance) observe() map[string]observation {
	result := map[string]observation{}
	for _, c := range i.containers {
		seen := observation{process: c.keeper.Status()}
		seen.started, seen.ready, seen.message = c.health.state(seen.process)
		result[c.name] = seen
	}
	return result
}

func (k *Kubelet) stopAll() {
	all := k.running()
	for _, instance := range all {
		instance.stop(func() {})
	}
	for _, instance := range all {
		<-instance.stopped
	}
}
