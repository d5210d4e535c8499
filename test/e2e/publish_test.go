//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestAPublishedServiceAppearsInTheOtherClusterAsItWasPublished(t *testing.T) {
	awaitPeers(t)
	namespace := suite.b.namespace(t)
	hostname := suite.b.publish(t, namespace, "web")
	entry := suite.a.awaitImported(t, hostname, prompt)

	if namespace := entry.GetNamespace(); namespace != moduleNamespace {
		t.Errorf("the ServiceEntry is in namespace %s", namespace)
	}
	ports, _, _ := unstructured.NestedSlice(entry.Object, "spec", "ports")
	want := []any{
		map[string]any{"name": "http-web", "number": int64(80), "protocol": "HTTP"},
		map[string]any{"name": "api", "number": int64(9000), "protocol": "GRPC"},
	}
	if !reflect.DeepEqual(sorted(ports), sorted(want)) {
		t.Errorf("ports %v, want %v", ports, want)
	}
	gateway, err := suite.b.typed.CoreV1().Services(moduleNamespace).Get(context.Background(), "ingressgateway", metav1.GetOptions{})
	if err != nil || len(gateway.Status.LoadBalancer.Ingress) != 1 {
		t.Fatalf("the ingress gateway's Service has no address: %v", err)
	}
	endpoints, _, _ := unstructured.NestedSlice(entry.Object, "spec", "endpoints")
	wantEndpoints := []any{map[string]any{
		"address": gateway.Status.LoadBalancer.Ingress[0].IP,
		"ports":   map[string]any{"http-web": int64(15443), "api": int64(15443)},
	}}
	if !reflect.DeepEqual(endpoints, wantEndpoints) {
		t.Errorf("endpoints %v, want %v", endpoints, wantEndpoints)
	}
	eventually(t, prompt, "a DestinationRule makes clients of "+hostname+" use mutual TLS", func() string {
		rules, err := suite.a.dynamic.Resource(destinationRules).Namespace(moduleNamespace).List(context.Background(), metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		return unless(slices.ContainsFunc(rules.Items, func(rule unstructured.Unstructured) bool {
			host, _, _ := unstructured.NestedString(rule.Object, "spec", "host")
			mode, _, _ := unstructured.NestedString(rule.Object, "spec", "trafficPolicy", "tls", "mode")
			return host == hostname && mode == "ISTIO_MUTUAL"
		}), "none of %d does", len(rules.Items))
	})
}

func sorted(list []any) []string {
	var lines []string
	for _, item := range list {
		lines = append(lines, fmt.Sprint(item))
	}
	slices.Sort(lines)
	return lines
}

// TestChangesTravelByWatchInBothDirections logs the times it sees; how fast it
// is, is for benchmarks to tell. Five round trips within half the schedule's
// minute each cannot be the schedule's doing.
func TestChangesTravelByWatchInBothDirections(t *testing.T) {
	awaitPeers(t)
	for name, direction := range map[string]struct{ publisher, consumer *cluster }{
		"from cluster-b to cluster-a": {suite.b, suite.a},
		"from cluster-a to cluster-b": {suite.a, suite.b},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := direction.publisher.namespace(t)
			direction.publisher.service(t, namespace, "web")
			hostname := direction.publisher.hostname(t, namespace, "web")
			var came, went []time.Duration
			for range 5 {
				begun := time.Now()
				direction.publisher.label(t, namespace, "web", true)
				direction.consumer.awaitImported(t, hostname, prompt)
				came = append(came, time.Since(begun))
				begun = time.Now()
				direction.publisher.label(t, namespace, "web", false)
				direction.consumer.awaitForgotten(t, hostname, prompt)
				went = append(went, time.Since(begun))
			}
			slices.Sort(came)
			slices.Sort(went)
			t.Logf("services appear after %v and go after %v", came, went)
		})
	}
}

func TestADeletedServiceDisappearsFromTheOtherCluster(t *testing.T) {
	awaitPeers(t)
	namespace := suite.b.namespace(t)
	hostname := suite.b.publish(t, namespace, "web")
	suite.a.awaitImported(t, hostname, prompt)
	if err := suite.b.typed.CoreV1().Services(namespace).Delete(context.Background(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	suite.a.awaitForgotten(t, hostname, prompt)
}

func TestWithoutTheWatcherTheMinuteScheduleConverges(t *testing.T) {
	t.Parallel() // it waits, and beside it nothing else needs this watcher
	awaitPeers(t)
	t.Cleanup(func() {
		suite.a.setReplicas(t, watcher, 1)
		awaitPeers(t)
	})
	namespace := suite.b.namespace(t)
	for _, name := range []string{"web", "another", "third"} {
		stopped := suite.a.setReplicas(t, watcher, 0)
		suite.a.awaitImported(t, suite.b.publish(t, namespace, name), scheduled)
		if suite.a.setReplicas(t, watcher, 0) == stopped {
			return
		}
		t.Logf("a Helm run has started the watcher again while %s was imported, which so proves nothing", name)
	}
	t.Error("the watcher was always started again, so nothing was imported without it")
}
