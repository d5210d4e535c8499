package main

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

const webHost = "web.demo.svc.cluster-b.local"

func newTestCrossing() *crossing {
	return &crossing{publisher: &cluster{description: description{Name: "cluster-b"}}, host: webHost, timeline: newTimeline()}
}

func object(namespace, name string, content map[string]any) *unstructured.Unstructured {
	made := &unstructured.Unstructured{Object: content}
	made.SetNamespace(namespace)
	made.SetName(name)
	return made
}

func entryFor(host string, addresses ...any) *unstructured.Unstructured {
	return object("d8-istio", "entry", map[string]any{
		"spec": map[string]any{"hosts": []any{host}}, "status": map[string]any{"addresses": addresses},
	})
}

func federationThatOffers(name, host string) *unstructured.Unstructured {
	return object("", name, map[string]any{"status": map[string]any{"metadataCache": map[string]any{"private": map[string]any{
		"publicServices": []any{map[string]any{"hostname": host}},
	}}}})
}

func TestAWriteMarksItsHop(t *testing.T) {
	for name, test := range map[string]struct {
		note func(*crossing)
		want []hop
	}{
		"a version in the ConfigMap": {func(x *crossing) {
			x.note(configMaps, watch.Modified, object("d8-istio", "federation-revisions", map[string]any{}))
		}, []hop{revisionHop}},
		"another ConfigMap is none": {func(x *crossing) {
			x.note(configMaps, watch.Modified, object("demo", "federation-revisions", map[string]any{}))
		}, nil},
		"a status that offers the Service": {func(x *crossing) {
			x.note(federations, watch.Modified, federationThatOffers("cluster-b", webHost))
		}, []hop{statusHop}},
		"a status that offers another is none": {func(x *crossing) {
			x.note(federations, watch.Modified, federationThatOffers("cluster-b", "api.demo.svc.cluster-b.local"))
		}, nil},
		"the status of another peer is none": {func(x *crossing) {
			x.note(federations, watch.Modified, federationThatOffers("cluster-c", webHost))
		}, nil},
		"a ServiceEntry without an address":      {func(x *crossing) { x.note(serviceEntries, watch.Added, entryFor(webHost)) }, []hop{entryHop}},
		"a ServiceEntry with one":                {func(x *crossing) { x.note(serviceEntries, watch.Modified, entryFor(webHost, "240.240.0.1")) }, []hop{entryHop, addressHop}},
		"a ServiceEntry of another host is none": {func(x *crossing) { x.note(serviceEntries, watch.Added, entryFor("api.demo.svc.cluster-b.local")) }, nil},
		"a ServiceEntry that is deleted is none": {func(x *crossing) { x.note(serviceEntries, watch.Deleted, entryFor(webHost)) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTestCrossing()
			test.note(x)
			var got []hop
			for _, hop := range hops {
				if _, passed := x.timeline.passed[hop]; passed {
					got = append(got, hop)
				}
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestATimelineRetainsTheFirstTimeOfEachHop(t *testing.T) {
	line, begun := newTimeline(), time.Now()
	line.pass(entryHop, begun.Add(-time.Second))
	line.restart()
	for index, hop := range hops {
		line.pass(hop, begun.Add(time.Duration(index)*time.Millisecond))
		line.pass(hop, begun.Add(time.Hour))
	}
	trip, err := line.await(t.Context(), begun)
	if err != nil {
		t.Fatal(err)
	}
	for index, hop := range hops {
		if trip[hop] != time.Duration(index)*time.Millisecond {
			t.Errorf("%s after %s", hop, trip[hop])
		}
	}
}

func TestATimelineSaysWhatIsMissing(t *testing.T) {
	line := newTimeline()
	line.pass(acceptedHop, time.Now())
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := line.await(ctx, time.Now()); err == nil || !strings.Contains(err.Error(), string(entryHop)) || strings.Contains(err.Error(), string(acceptedHop)) {
		t.Errorf("error %v", err)
	}
	line.fail(errors.New("the watch ended"))
	if _, err := line.await(t.Context(), time.Now()); err == nil || !strings.Contains(err.Error(), "the watch ended") {
		t.Errorf("error %v", err)
	}
}

func TestCallsMarkAHopWhenTheirOutcomeChanges(t *testing.T) {
	unknown := call{Error: "the name is not known"}
	begun := time.Now()
	c := &calls{timeline: newTimeline(), changed: make(chan struct{}), before: &unknown}
	c.note(unknown)
	c.note(call{Began: begun.Add(time.Second), Ended: begun.Add(2 * time.Second), Status: 503, Error: "no healthy upstream"})
	c.note(call{Began: begun.Add(3 * time.Second), Ended: begun.Add(4 * time.Second), Status: 200})
	want := map[hop]time.Time{noticedHop: begun.Add(time.Second), answeredHop: begun.Add(4 * time.Second)}
	if !reflect.DeepEqual(c.timeline.passed, want) {
		t.Errorf("%v, want %v", c.timeline.passed, want)
	}
}

func TestTheOutcomeWithoutTheServiceIsKnownAfterAWhile(t *testing.T) {
	c := &calls{timeline: newTimeline(), changed: make(chan struct{})}
	c.note(call{Status: 200, Ended: time.Now().Add(-time.Hour)})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.awaitUnanswered(ctx); err == nil {
		t.Error("an answer counts as none")
	}
	c.note(call{Error: "the name is not known", Ended: time.Now().Add(-time.Hour)})
	if err := c.awaitUnanswered(t.Context()); err != nil || c.before == nil || c.before.Error != "the name is not known" {
		t.Errorf("error %v, before: %v", err, c.before)
	}
}

func TestTheDemonstrationsManifestsCanBeRendered(t *testing.T) {
	for _, name := range []string{"client", "web"} {
		text, err := renderDemonstration(filepath.Join("..", "..", demoManifests), name, "cluster-b", webHost)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(text, "name: "+name) || !strings.Contains(text, "namespace: "+demoNamespace) {
			t.Errorf("%s has no Deployment of that name in %s", name, demoNamespace)
		}
	}
}

func TestTheTimeOfAHopIsCountedFromTheHopBefore(t *testing.T) {
	trip := map[hop]time.Duration{}
	for index, hop := range hops {
		trip[hop] = time.Duration(index*index) * time.Second
	}
	row := requested{Trips: []map[hop]time.Duration{trip}}
	since, step := row.times(3)
	if since[0] != 9*time.Second || step[0] != 5*time.Second {
		t.Errorf("%s since the label, %s since the hop before", since, step)
	}
	encoded, err := json.Marshal(row)
	var decoded requested
	if err == nil {
		err = json.Unmarshal(encoded, &decoded)
	}
	if err != nil || !reflect.DeepEqual(decoded, row) {
		t.Errorf("%v: %+v", err, decoded)
	}
}

func TestTheKubeletsSummaryIsReadByPodAndContainer(t *testing.T) {
	var seen summary
	err := json.Unmarshal([]byte(`{"pods": [
		{"podRef": {"uid": "other"}, "containers": [{"name": "operator", "cpu": {"usageCoreNanoSeconds": 1}}]},
		{"podRef": {"uid": "wanted"}, "containers": [{"name": "operator",
			"cpu": {"time": "2026-11-29T10:00:00Z", "usageCoreNanoSeconds": 2000000000}, "memory": {"workingSetBytes": 3145728}}]}]}`), &seen)
	if err != nil {
		t.Fatal(err)
	}
	want := sample{time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC), 2 * time.Second, 3}
	if got, err := seen.of("wanted", "operator"); err != nil || got != want {
		t.Errorf("%+v %v, want %+v", got, err, want)
	}
	if _, err := seen.of("wanted", "sidecar"); err == nil {
		t.Error("a container that is not there is seen")
	}
}

func TestTheUsageAtRestIsSubtracted(t *testing.T) {
	used := usage{CPU: 5 * time.Second, Over: 20 * time.Second}
	if got := used.perSecond(); got != 250*time.Millisecond {
		t.Errorf("%s a second", got)
	}
	if got := used.beyond(100 * time.Millisecond); got != 3*time.Second {
		t.Errorf("%s beyond rest", got)
	}
	if got := used.beyond(time.Second); got != 0 {
		t.Errorf("%s beyond a rest that takes more", got)
	}
}

func TestAVolumeHasTheFilesItNamesOrAll(t *testing.T) {
	secret := &corev1.Secret{Data: map[string][]byte{"priv.pem": []byte("a"), "pub.pem": []byte("b")}}
	if got := filesOf(nil, secret); !reflect.DeepEqual(got, secret.Data) {
		t.Errorf("%v", got)
	}
	if got := filesOf([]corev1.KeyToPath{{Key: "priv.pem", Path: "key"}}, secret); !reflect.DeepEqual(got, map[string][]byte{"key": []byte("a")}) {
		t.Errorf("%v", got)
	}
}
