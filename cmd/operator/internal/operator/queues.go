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
// that with the tasks of a hook that has had a hundred since the start, and
// loses which informers the merged Synchronization is to unlock: it puts the
// list of them back into a pool (putMonitorIDSlice) from which the next queue
// that merges takes it. The hook then hears of no event until the operator
// restarts. Tasks of a hook that follow one another are still run as one, by
// addon-operator, when their turn comes. Once compaction hands over a list of
// its own, and does not forget a Synchronization when an event is merged into
// it, this may go.
func setUpQueues() {
	queue.DefaultWaitLoopCheckInterval, queue.DefaultDelayOnQueueIsEmpty = queueInterval, queueInterval
	taskqueue.MergeTasks = nil
}
