//go:build e2e

package e2e

import (
	"errors"
	"strconv"
	"strings"
	"testing"
)

// TestTrafficThatASidecarResourceLeavesOutIsNotKept: the proxies of its namespace know less, and need less memory, which is logged.
func TestTrafficThatASidecarResourceLeavesOutIsNotKept(t *testing.T) {
	t.Parallel()
	f := trafficOf(t)
	proxy := f.Here.Pod("distant")
	var everything int
	eventually(t, prompt, "the proxy says how much it knows", func() (missing string) {
		var err error
		everything, err = proxy.knownClusters()
		return because(err)
	})
	before, whole := proxy.admin("memory").text, proxy.configurationSize(t)
	f.applyYAML(t, f.Here, "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: default, namespace: '{{.Here.Yard}}'}\n"+
		"spec: {egress: [{hosts: ['{{.Here.Shop}}/guarded.{{.Here.Shop}}.svc.{{.Here.Domain}}']}]}")
	eventually(t, scheduled, "the proxy knows what is named", func() string {
		now, err := proxy.knownClusters()
		if err != nil {
			return err.Error()
		}
		return unless(now < everything, "it knows %d clusters, before it was %d", now, everything)
	})
	named := between(f.Here.spiffe(t, f.Here.Yard, "default"), f.Here.identity("default"), "guarded")
	eventually(t, prompt, "what is named answers", func() string {
		got, err := proxy.get("http://" + f.Here.Host("guarded") + "/")
		return because(failing(err, named(got)))
	})
	part := proxy.configurationSize(t)
	if part >= whole {
		t.Errorf("its configuration has %d bytes, before it had %d", part, whole)
	}
	t.Logf("memory with %d clusters and %d bytes of configuration: %s; with fewer, %d bytes: %s", everything, whole, before, part, proxy.admin("memory").text)
}

// admin asks the Pod's proxy itself.
func (i *insider) admin(path string) answer {
	got, err := i.get("http://127.0.0.1:15000/" + path)
	if err != nil {
		return answer{text: err.Error()}
	}
	return got
}

// configurationSize is how many bytes the Pod's proxy shows its configuration in.
func (i *insider) configurationSize(t *testing.T) int {
	t.Helper()
	whole, err := fetch(i.transport(), "http://127.0.0.1:15000/config_dump", nil)
	if err != nil {
		t.Fatal(err)
	}
	return len(whole)
}

// knownClusters is how many destinations the Pod's proxy has.
func (i *insider) knownClusters() (int, error) {
	_, count, found := strings.Cut(i.admin("stats?filter=^cluster_manager.active_clusters$").text, ": ")
	if !found {
		return 0, errors.New("the proxy does not say how many clusters it has")
	}
	return strconv.Atoi(strings.TrimSpace(count))
}
