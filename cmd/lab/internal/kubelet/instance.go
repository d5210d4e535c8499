package kubelet

import (
	"cmp"
	"context"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
)

// instance is what runs of one Pod.
type instance struct {
	uid     types.UID
	key     podKey
	dir     string
	address podnet.Address

	// containers that run; none before the Pod is started.
	containers []*container
	// stopping is closed when the Pod is to end, stopped when nothing of it runs any more.
	stopping context.CancelFunc
	stopped  chan struct{}
	once     sync.Once

	// volumes is held while the Pod's volumes are written.
	volumes sync.Mutex
}

type podKey = types.NamespacedName

// container is one running container of a Pod.
type container struct {
	name string
	// process is the name people know the process by.
	process string
	log     string
	keeper  *process.Keeper
	health  *health
}

func (i *instance) volumesDir() string { return filepath.Join(i.dir, "volumes") }

func (i *instance) rootDir(container string) string { return filepath.Join(i.dir, "root", container) }

// start runs the Pod's containers, each with its program; they are kept running until the instance is stopped.
func (k *Kubelet) start(pod *corev1.Pod, instance *instance, programs []Program) {
	ctx, cancel := context.WithCancel(context.Background())
	instance.stopping = cancel
	grace := gracePeriod(pod)
	key := instance.key
	var containers []*container
	for n, program := range programs {
		spec := pod.Spec.Containers[n].DeepCopy()
		running := &container{name: spec.Name, process: cmp.Or(program.Process, spec.Name), log: k.logFile(pod, spec.Name)}
		running.keeper = k.options.Group.Keep(process.Options{
			Grace: grace,
			Next: func(ctx context.Context) (process.Command, error) {
				// Labels and annotations may have changed since the Pod was made.
				present := pod
				if fresh, err := k.pods.Pods(key.Namespace).Get(key.Name); err == nil && fresh.UID == pod.UID {
					present = fresh
				}
				return k.command(ctx, instance, present, spec, program)
			},
			Changed: func() {
				k.queue.Add(key)
				k.options.Changed()
			},
		})
		running.health = newHealth(spec, instance.address.Real, running.keeper, func() { k.queue.Add(key) })
		go running.health.run(ctx)
		containers = append(containers, running)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	instance.containers = containers
}

// isStarted tells whether the Pod's containers are kept running. Only the one
// worker of the queue starts instances, and asks.
func (i *instance) isStarted() bool { return i.stopping != nil }

// stop ends everything of the Pod, without waiting; then is called when all is gone.
func (i *instance) stop(then func()) {
	i.once.Do(func() {
		if i.isStarted() {
			i.stopping()
		}
		for _, c := range i.containers {
			c.keeper.Stop()
		}
		go func() {
			for _, c := range i.containers {
				<-c.keeper.Done()
			}
			close(i.stopped)
			then()
		}()
	})
}

func (i *instance) isStopped() bool {
	select {
	case <-i.stopped:
		return true
	default:
		return false
	}
}

func gracePeriod(pod *corev1.Pod) time.Duration {
	seconds := int64(corev1.DefaultTerminationGracePeriodSeconds)
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		seconds = *pod.Spec.TerminationGracePeriodSeconds
	}
	return time.Duration(seconds) * time.Second
}
