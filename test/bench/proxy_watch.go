package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/deckhouse-mesh/istio/test/guarded"
)

const (
	// triesOfEvents are that many times the tries of other parts: one takes milliseconds.
	triesOfEvents  = 10
	maxAddedMedian = 5 * time.Millisecond // the target
	tryAnnotation  = "bench.example/try"
)

// watched is how long events take by one way: from before the change is sent
// to the API server until the client has decoded the event.
type watched struct {
	way  string
	took []time.Duration
	// added is what each event took more than directly.
	added []time.Duration
}

// held is the memory of a proxy that holds watches.
type held struct {
	way        string
	watches    int
	now, peak  float64 // MiB
	beforehand float64 // MiB
}

// measureEvents changes a Pod, one time after the other, while every way watches it.
func measureEvents(ctx context.Context, client kubernetes.Interface, ways []way, tries int) ([]watched, error) {
	rows := make([]watched, len(ways))
	arrived := make([]<-chan arrival, len(ways))
	for index, way := range ways {
		watching, err := way.watchPods(ctx)
		if err != nil {
			return nil, err
		}
		defer watching.Stop()
		rows[index].way, arrived[index] = way.name, noteArrivals(watching)
	}
	for try := range tries * triesOfEvents {
		number := strconv.Itoa(try)
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, tryAnnotation, number)
		begun := time.Now()
		if _, err := client.CoreV1().Pods(guarded.Shop).Patch(ctx, meshPod(0).Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return nil, fmt.Errorf("change a Pod: %w", err)
		}
		for index := range ways {
			at, err := await(ctx, arrived[index], number)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", ways[index].name, err)
			}
			row := &rows[index]
			row.took = append(row.took, at.Sub(begun))
			row.added = append(row.added, at.Sub(begun)-rows[0].took[try])
		}
	}
	progress("watch events: %d", tries*triesOfEvents)
	return rows, nil
}

// arrival of an event at the client.
type arrival struct {
	try string
	at  time.Time
}

// noteArrivals notes when each change of the Pod arrives.
func noteArrivals(watching watch.Interface) <-chan arrival {
	arrivals := make(chan arrival, triesOfEvents)
	go func() {
		defer close(arrivals)
		for event := range watching.ResultChan() {
			at := time.Now()
			if pod, ok := event.Object.(*corev1.Pod); ok && pod.Annotations[tryAnnotation] != "" {
				arrivals <- arrival{pod.Annotations[tryAnnotation], at}
			}
		}
	}()
	return arrivals
}

func await(ctx context.Context, arrivals <-chan arrival, try string) (time.Time, error) {
	for {
		select {
		case next, more := <-arrivals:
			if !more {
				return time.Time{}, errors.New("the watch ended")
			}
			if next.try == try {
				return next.at, nil
			}
		case <-ctx.Done():
			return time.Time{}, ctx.Err()
		case <-time.After(startTimeout):
			return time.Time{}, fmt.Errorf("change %s was not seen within %s", try, startTimeout)
		}
	}
}

// watchPods watches all Pods from now on.
func (w way) watchPods(ctx context.Context) (watch.Interface, error) {
	client, err := w.client(false)
	if err != nil {
		return nil, err
	}
	list, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("list Pods by way of %s: %w", w.name, err)
	}
	watching, err := client.CoreV1().Pods("").Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion, AllowWatchBookmarks: true})
	if err != nil {
		return nil, fmt.Errorf("watch Pods by way of %s: %w", w.name, err)
	}
	return watching, nil
}

// measureWatches looks at the memory of each proxy, which has served all the
// lists before, while it holds watches.
func measureWatches(ctx context.Context, ways []way, count int) ([]held, error) {
	var rows []held
	for _, way := range ways {
		if way.process == 0 {
			continue
		}
		row, err := way.hold(ctx, count)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (w way) hold(ctx context.Context, count int) (row held, err error) {
	row = held{way: w.name, watches: count}
	if row.beforehand, _, err = w.process.memory(); err != nil {
		return row, err
	}
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	var draining sync.WaitGroup
	defer draining.Wait()
	for range count {
		watching, err := w.watchPods(ctx)
		if err != nil {
			return row, err
		}
		defer watching.Stop()
		draining.Go(func() {
			for range watching.ResultChan() {
			}
		})
	}
	progress("%s holds %d watches; looking at memory in ten seconds", w.name, count)
	if err := pause(ctx, 10*time.Second); err != nil {
		return row, err
	}
	row.now, row.peak, err = w.process.memory()
	return row, err
}
