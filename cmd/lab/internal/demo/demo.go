// Package demo shows what federation does: a Service that is published in one
// cluster appears in another, and goes when it is no longer published.
package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

const (
	namespace = "demo"
	service   = "web"
	// publishLabel on a Service publishes it to federated clusters.
	publishLabel = "federation.istio.deckhouse.io/public-service"
	// timeout bounds each wait; without the watcher, the module's schedule needs a minute.
	timeout = 90 * time.Second
)

// Printer prints one line.
type Printer func(format string, args ...any)

// Run publishes and unpublishes a Service in each of the first two clusters, and sees it come and go in the other.
func Run(ctx context.Context, lab state.Lab, print Printer) error {
	if len(lab.Clusters) < 2 {
		return errors.New("the demonstration needs two clusters: start it with --clusters 2 or more")
	}
	a, b := lab.Clusters[0], lab.Clusters[1]
	for _, direction := range []struct{ publisher, consumer state.Cluster }{{b, a}, {a, b}} {
		if err := show(ctx, direction.publisher, direction.consumer, print); err != nil {
			return fmt.Errorf("from %s to %s: %w", direction.publisher.Name, direction.consumer.Name, err)
		}
	}
	return nil
}

func show(ctx context.Context, publisher, consumer state.Cluster, print Printer) error {
	from, err := kube.New(publisher.Kubeconfig)
	if err != nil {
		return err
	}
	to, err := kube.New(consumer.Kubeconfig)
	if err != nil {
		return err
	}
	if err := createService(ctx, from); err != nil {
		return err
	}
	hostname := fmt.Sprintf("%s.%s.svc.%s", service, namespace, publisher.ClusterDomain)
	print("")
	print("%s: Service %s/%s exists; %s does not know it", publisher.Name, namespace, service, consumer.Name)

	watcher := newWatcher(to, hostname)
	if _, err := watcher.await(ctx, false); err != nil {
		return err
	}
	begun := time.Now()
	if err := setLabel(ctx, from, `""`); err != nil {
		return err
	}
	print("%s: $ kubectl -n %s label service %s %s=", publisher.Name, namespace, service, publishLabel)
	entry, err := watcher.await(ctx, true)
	if err != nil {
		return err
	}
	print("%s: ServiceEntry %s/%s is there after %s", consumer.Name, entry.GetNamespace(), entry.GetName(), elapsed(begun))
	describe(entry, print)

	begun = time.Now()
	if err := setLabel(ctx, from, "null"); err != nil {
		return err
	}
	print("%s: $ kubectl -n %s label service %s %s-", publisher.Name, namespace, service, publishLabel)
	if _, err := watcher.await(ctx, false); err != nil {
		return err
	}
	print("%s: the ServiceEntry is gone after %s", consumer.Name, elapsed(begun))
	return nil
}

func createService(ctx context.Context, clients *kube.Clients) error {
	err := clients.Apply(ctx, kube.Namespaces, map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": namespace},
	})
	if err != nil {
		return err
	}
	if err := clients.Apply(ctx, kube.Services, map[string]any{
		"apiVersion": "v1", "kind": "Service",
		"metadata": map[string]any{"namespace": namespace, "name": service},
		"spec": map[string]any{
			"selector": map[string]any{"app": service},
			"ports":    []any{map[string]any{"name": "http", "port": int64(80), "targetPort": int64(8080), "protocol": "TCP"}},
		},
	}); err != nil {
		return err
	}
	return setLabel(ctx, clients, "null")
}

// setLabel publishes the Service (value "") or unpublishes it (null).
func setLabel(ctx context.Context, clients *kube.Clients, value string) error {
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%s}}}`, publishLabel, value)
	_, err := clients.Dynamic.Resource(kube.Services).Namespace(namespace).Patch(ctx, service, types.MergePatchType, patch, metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("label Service %s/%s: %w", namespace, service, err)
	}
	return nil
}

func describe(entry *unstructured.Unstructured, print Printer) {
	hosts, _, _ := unstructured.NestedStringSlice(entry.Object, "spec", "hosts")
	print("    hosts:     %s", strings.Join(hosts, ", "))
	for _, list := range []struct{ field, format string }{{"ports", "    port:      %v %v (%v)"}, {"endpoints", "    endpoint:  %v %v"}} {
		items, _, _ := unstructured.NestedSlice(entry.Object, "spec", list.field)
		for _, item := range items {
			fields, _ := item.(map[string]any)
			if list.field == "ports" {
				print(list.format, fields["name"], fields["number"], fields["protocol"])
			} else {
				print(list.format, fields["address"], fields["ports"])
			}
		}
	}
}

func elapsed(begun time.Time) string {
	return fmt.Sprintf("%.2f s", time.Since(begun).Seconds())
}
