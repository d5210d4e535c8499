package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// listRounds of each way in turn; an odd number has a median.
const listRounds = 15

// fromCache is how an informer lists first.
var fromCache = metav1.ListOptions{ResourceVersion: "0"}

// listing is one kind of list.
type listing struct {
	name       string
	compressed bool
	// list returns how many objects came, and their size in bytes before compression.
	list func(ctx context.Context, client kubernetes.Interface) (objects, size int, err error)
}

func listPods(ctx context.Context, client kubernetes.Interface) (objects, size int, err error) {
	list, err := client.CoreV1().Pods("").List(ctx, fromCache)
	if err != nil {
		return 0, 0, fmt.Errorf("list Pods: %w", err)
	}
	return len(list.Items), list.Size(), nil
}

// listServices is the list that the API proxy narrows by a label selector.
func listServices(ctx context.Context, client kubernetes.Interface) (objects, size int, err error) {
	list, err := client.CoreV1().Services("").List(ctx, fromCache)
	if err != nil {
		return 0, 0, fmt.Errorf("list Services: %w", err)
	}
	return len(list.Items), list.Size(), nil
}

// listed is how fast one way lists.
type listed struct {
	listing, way  string
	objects, size int
	// took is the median, best the shortest: what other work on the machine disturbs least.
	took, best time.Duration
	// cpu is what the proxy computed for one list.
	cpu time.Duration
}

func (l listed) perSecond() float64 { return float64(l.size) / l.took.Seconds() }

// measureLists asks each way in turn, so that what else goes on strikes all alike.
func measureLists(ctx context.Context, ways []way, todo plan) ([]listed, error) {
	var rows []listed
	for _, each := range []listing{
		{"Pods, gzip", true, listPods}, {"Pods, not compressed", false, listPods}, {"Services, not compressed", false, listServices},
	} {
		measured, err := each.measure(ctx, ways, todo.Pods)
		if err != nil {
			return nil, err
		}
		rows = append(rows, measured...)
	}
	return rows, nil
}

func (l listing) measure(ctx context.Context, ways []way, atLeast int) ([]listed, error) {
	rows := make([]listed, len(ways))
	clients := make([]kubernetes.Interface, len(ways))
	took := make([][]time.Duration, len(ways))
	for index, way := range ways {
		client, err := way.client(l.compressed)
		if err != nil {
			return nil, err
		}
		clients[index], rows[index] = client, listed{listing: l.name, way: way.name}
	}
	for round := range listRounds + 1 { // the first one opens connections and is not counted
		for index, way := range ways {
			before, err := way.cpu()
			if err != nil {
				return nil, err
			}
			begun := time.Now()
			objects, size, err := l.list(ctx, clients[index])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way.name, err)
			}
			lasted := time.Since(begun)
			after, err := way.cpu()
			if err != nil {
				return nil, err
			}
			if objects < atLeast {
				return nil, fmt.Errorf("%s: %d objects came, of %d", way.name, objects, atLeast)
			}
			rows[index].objects, rows[index].size = objects, size
			if round > 0 {
				took[index] = append(took[index], lasted)
				rows[index].cpu += (after - before) / listRounds
			}
		}
	}
	for index := range rows {
		slices.Sort(took[index])
		rows[index].took, rows[index].best = took[index][listRounds/2], took[index][0]
		progress("%s, %s: %.1f MB/s", l.name, rows[index].way, rows[index].perSecond()/1e6)
	}
	return rows, nil
}

// cpu is what the way's proxy has computed so far.
func (w way) cpu() (time.Duration, error) {
	if w.process == 0 {
		return 0, nil
	}
	return w.process.cpu()
}
