package operator

import (
	"time"

	taskqueue "github.com/flant/addon-operator/pkg/task/queue"
	"github.com/flant/shell-operator/pkg/task/queue"
)

// queueInterval is how often an idle queue of hooks looks for work. A published
// Service passes two queues; shell-operator's own 250 ms were most of its way.
const queueInterval = 25 * time.Millisecond

// setUpQueues changes what all queues of hooks have in common; it must run
// before addon-operator makes them.
//
// No task is merged into another while it waits. shell-operator v1.20.2 does
// that with the tasks of a hook that has had a hundred since the queue was made
// (TaskCounter counts those that are done, too), and loses which informers the
// merged Synchronization is to unlock: it puts the list of them back into a pool
// (putMonitorIDSlice) from which the next queue that merges takes it. The hook
// then gets no event until the operator restarts. An event merged behind
// Synchronization tasks makes them count as an event, and unlocks nothing either.
// In a lab with GOMAXPROCS=1, where the module was switched off and on when three
// hooks already had a hundred tasks each, two of them got no more events; with this
// change, four such rounds left none without. Tasks of a hook that follow one
// another are still run as one, by addon-operator (CombineBindingContextForHook),
// when their turn comes, so a flood of events is one run. Once compaction hands
// over a list of its own, and does not forget a Synchronization when an event is
// merged into it, this may go.
func setUpQueues() {
	queue.DefaultWaitLoopCheckInterval, queue.DefaultDelayOnQueueIsEmpty = queueInterval, queueInterval
	taskqueue.MergeTasks = nil
}
