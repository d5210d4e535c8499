package operator

import (
	"context"
	"testing"
	"time"

	"github.com/deckhouse/deckhouse/pkg/log"
	metricsstorage "github.com/deckhouse/deckhouse/pkg/metrics-storage"
	"github.com/flant/shell-operator/pkg/debug"
	shelloperator "github.com/flant/shell-operator/pkg/shell-operator"
	shtask "github.com/flant/shell-operator/pkg/task"
	"github.com/flant/shell-operator/pkg/task/queue"
	. "github.com/onsi/gomega"
)

// debugQueues returns queues as addon-operator has them, a function that stops
// their workers, and the debug endpoint that lists them.
func debugQueues(t *testing.T) (queues *queue.TaskQueueSet, stop func(), endpoint *debug.Server) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(stop)
	queues = queue.NewTaskQueueSet().WithMetricStorage(metricsstorage.NewMetricStorage(metricsstorage.WithNewRegistry()))
	queues.WithContext(ctx)
	queues.NewNamedQueue("main", func(context.Context, shtask.Task) queue.TaskResult {
		<-ctx.Done()
		return queue.TaskResult{Status: queue.Success}
	})
	endpoint = debug.NewServer("/debug", "unused.socket", "", log.NewNop())
	(&shelloperator.ShellOperator{TaskQueues: queues}).RegisterDebugQueueRoutes(endpoint)
	return queues, stop, endpoint
}

func TestTheOperatorExitsWhenAQueueHasStopped(t *testing.T) {
	g := NewWithT(t)
	queues, stop, endpoint := debugQueues(t)
	list, err := queueList(endpoint.Router)
	g.Expect(err).NotTo(HaveOccurred())

	queues.GetMain().AddLast(shtask.NewTask("converge"))
	g.Expect(checkQueues(list)).To(Succeed(), "a queue that is not started yet")
	queues.StartMain(context.Background())
	g.Eventually(queues.GetMain().GetStatusType).WithTimeout(20 * time.Second).Should(Equal(queue.QueueStatusRunningTask))
	g.Expect(checkQueues(list)).To(Succeed(), "a queue that runs a task")

	stop()
	g.Eventually(queues.GetMain().GetStatusType).WithTimeout(20 * time.Second).Should(Equal(queue.QueueStatusStop))
	queues.GetMain().AddLast(shtask.NewTask("settings"))
	err = waitForStoppedQueue(context.Background(), list, time.Millisecond)
	g.Expect(err).To(MatchError(ContainSubstring(`the queue "main" has stopped`)))
}

func TestTheCheckOfQueuesEndsWithItsContext(t *testing.T) {
	g := NewWithT(t)
	_, _, endpoint := debugQueues(t)
	list, err := queueList(endpoint.Router)
	g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	g.Expect(waitForStoppedQueue(ctx, list, time.Millisecond)).To(MatchError(context.Canceled))
}

func TestADebugEndpointWithoutQueuesIsReported(t *testing.T) {
	g := NewWithT(t)
	_, err := queueList(debug.NewServer("/debug", "unused.socket", "", log.NewNop()).Router)
	g.Expect(err).To(MatchError(ContainSubstring("no list of queues")))
}
