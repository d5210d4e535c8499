package main

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// follower takes what a watch reports.
type follower interface {
	// note an event when it has arrived.
	note(resource schema.GroupVersionResource, kind watch.EventType, object *unstructured.Unstructured)
	// fail when the watch cannot go on.
	fail(err error)
}

// follow the changes of a resource, in all namespaces, from now on until the context ends.
func follow(ctx context.Context, client dynamic.Interface, resource schema.GroupVersionResource, by follower) error {
	of := client.Resource(resource)
	present, err := of.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list %s: %w", resource.Resource, err)
	}
	watcher, err := watchtools.NewRetryWatcherWithContext(ctx, present.GetResourceVersion(), &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return of.Watch(ctx, options)
		},
	})
	if err != nil {
		return fmt.Errorf("watch %s: %w", resource.Resource, err)
	}
	go func() {
		for event := range watcher.ResultChan() {
			if event.Type == watch.Error {
				by.fail(fmt.Errorf("watch %s: %w", resource.Resource, apierrors.FromObject(event.Object)))
				return
			}
			if object, ok := event.Object.(*unstructured.Unstructured); ok && event.Type != watch.Bookmark {
				by.note(resource, event.Type, object)
			}
		}
	}()
	return nil
}
