package operator

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/deckhouse/deckhouse/pkg/log"
	metricsstorage "github.com/deckhouse/deckhouse/pkg/metrics-storage"
	"github.com/flant/addon-operator/pkg/task"
	taskqueue "github.com/flant/addon-operator/pkg/task/queue"
	bindingcontext "github.com/flant/shell-operator/pkg/hook/binding_context"
	htypes "github.com/flant/shell-operator/pkg/hook/types"
	kemtypes "github.com/flant/shell-operator/pkg/kube_events_manager/types"
	shelloperator "github.com/flant/shell-operator/pkg/shell-operator"
	shtask "github.com/flant/shell-operator/pkg/task"
	"github.com/flant/shell-operator/pkg/task/queue"
	. "github.com/onsi/gomega"
)

// TestEverySynchronizationKeepsItsInformer: when a module is switched on again,
// its hooks have run often, and the tasks that unlock their informers wait side
// by side. None may be merged into another by the queue.
func TestEverySynchronizationKeepsItsInformer(t *testing.T) {
	g := NewWithT(t)
	setUpQueues()

	const before = 100 // shell-operator's compactionThreshold
	handled, gate := make(chan task.HookMetadata, before), make(chan struct{})
	service := newQueueService(t, func(_ context.Context, waiting shtask.Task) queue.TaskResult {
		hm := task.HookMetadataAccessor(waiting)
		if hm.HookName == "gate" {
			<-gate
		} else {
			handled <- hm
		}
		return queue.TaskResult{Status: queue.Success}
	})
	const name = "/modules/istio/hook"
	service.CreateAndStartQueue(name, taskqueue.CompactionCallback(nil, log.NewNop()))
	add := func(hook string, kind kemtypes.KubeEventType, informers ...string) {
		g.Expect(service.AddLastTaskToQueue(name, newHookTask(name, hook, kind, informers...))).To(Succeed())
	}
	next := func() (hm task.HookMetadata) {
		g.Eventually(handled).WithTimeout(20 * time.Second).Should(Receive(&hm))
		return hm
	}

	for range before {
		add("hook", kemtypes.TypeEvent)
	}
	for range before {
		next()
	}
	add("gate", kemtypes.TypeEvent)
	var informers []string
	for i := range 3 {
		informers = append(informers, fmt.Sprintf("informer-%d", i))
		add("hook", kemtypes.TypeSynchronization, informers[i])
	}
	add("hook", kemtypes.TypeEvent)
	close(gate)

	for _, informer := range informers {
		synchronization := next()
		g.Expect(synchronization.IsSynchronization()).To(BeTrue())
		g.Expect(synchronization.MonitorIDs).To(Equal([]string{informer}))
	}
	g.Expect(next().IsSynchronization()).To(BeFalse())
}

// newQueueService makes queues as addon-operator does; they stop with the test.
func newQueueService(t *testing.T, handle func(context.Context, shtask.Task) queue.TaskResult) *taskqueue.Service {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	queues := queue.NewTaskQueueSet().WithMetricStorage(metricsstorage.NewMetricStorage(metricsstorage.WithNewRegistry()))
	queues.WithContext(ctx)
	return taskqueue.NewService(ctx, &taskqueue.ServiceConfig{
		Engine: &shelloperator.ShellOperator{TaskQueues: queues}, Handle: handle,
	}, log.NewNop())
}

func newHookTask(queueName, hook string, kind kemtypes.KubeEventType, informers ...string) shtask.Task {
	seen := bindingcontext.BindingContext{Binding: "objects", Type: kind}
	seen.Metadata.BindingType, seen.Metadata.Group = htypes.OnKubernetesEvent, "main"
	return shtask.NewTask(task.ModuleHookRun).WithQueueName(queueName).WithCompactionID(hook).WithMetadata(task.HookMetadata{
		ModuleName: "istio", HookName: hook, BindingType: htypes.OnKubernetesEvent,
		BindingContext: []bindingcontext.BindingContext{seen}, MonitorIDs: informers,
	})
}
