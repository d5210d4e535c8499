package operator

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/deckhouse/deckhouse/pkg/log"
	"github.com/flant/shell-operator/pkg/task/queue"
	structuredlogger "github.com/flant/shell-operator/pkg/utils/structured-logger"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"k8s.io/apimachinery/pkg/util/wait"
)

// queueCheckInterval is how often the queues are checked.
const queueCheckInterval = 5 * time.Second

// waitForStoppedQueue returns the error of the first queue that has stopped and
// holds tasks, or one when ctx ends or the queues cannot be listed.
//
// In shell-operator v1.20.2 a queue stops for good when its only task is removed
// between two lines of waitForTask (task_queue.go): it reads the queue's length,
// then its first task, and takes the absence of one for the end of the process.
// Addon-operator removes waiting tasks when a ModuleConfig changes while all modules
// are run (RemoveCurrentConvergeTasks). From then on settings are announced and
// never applied.
func waitForStoppedQueue(ctx context.Context, list http.HandlerFunc, interval time.Duration) error {
	return wait.PollUntilContextCancel(ctx, interval, false, func(context.Context) (bool, error) { return false, checkQueues(list) })
}

// queueList returns what answers with the list of queues at addon-operator's debug
// endpoint, the only way to its queues from outside. Requests by way of the
// endpoint's socket would each be a line in the log.
func queueList(debug chi.Routes) (http.HandlerFunc, error) {
	var list http.Handler
	for _, route := range debug.Routes() {
		if strings.HasPrefix(route.Pattern, "/queue/list.") {
			list = route.Handlers[http.MethodGet]
		}
	}
	if list == nil {
		return nil, errors.New("addon-operator's debug endpoint has no list of queues")
	}
	return func(w http.ResponseWriter, r *http.Request) {
		route := chi.NewRouteContext()
		route.URLParams.Add("format", "json")
		r = middleware.WithLogEntry(r, &structuredlogger.StructuredLoggerEntry{Logger: log.NewNop()})
		list.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), chi.RouteCtxKey, route)))
	}, nil
}

// checkQueues returns an error for a queue whose tasks nobody works on: it has stopped and holds some.
func checkQueues(list http.HandlerFunc) error {
	request, err := http.NewRequest(http.MethodGet, "/queue/list.json", nil)
	if err != nil {
		return err
	}
	answer := bufferedAnswer{header: http.Header{}}
	list(&answer, request)
	var queues struct {
		Active []struct {
			Name       string `json:"name"`
			TasksCount int    `json:"tasksCount"`
			Status     string `json:"status"`
		} `json:"active"`
	}
	if err := json.Unmarshal(answer.body.Bytes(), &queues); err != nil {
		return fmt.Errorf("read addon-operator's list of queues (%.100q): %w", answer.body.String(), err)
	}
	for _, active := range queues.Active {
		if active.Status == queue.QueueStatusStop.String() {
			return fmt.Errorf("the queue %q has stopped with %d tasks in it and cannot be started again in this process (a fault of shell-operator): "+
				"the operator exits so that its Pod starts it again", active.Name, active.TasksCount)
		}
	}
	return nil
}

// bufferedAnswer is a http.ResponseWriter that holds what was written.
type bufferedAnswer struct {
	header http.Header
	body   bytes.Buffer
}

func (a *bufferedAnswer) Header() http.Header { return a.header }

func (a *bufferedAnswer) WriteHeader(int) {}

func (a *bufferedAnswer) Write(data []byte) (int, error) { return a.body.Write(data) }
