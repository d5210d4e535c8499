//go:build e2e

package e2e

import (
	"maps"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/healthcheck"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

const (
	// idleTime holds three rounds of the module's one-minute schedule.
	idleTime = 3 * time.Minute
	// quiet is how long nothing must have been written before the test begins; on a loaded machine
	// the module's releases for the settings that earlier tests restored come more than ten seconds apart.
	quiet = 40 * time.Second
)

// TestWhenNothingChangesNothingIsWritten has the suite's lab to itself, after
// the tests that change things in it and beside those in labs of their own.
func TestWhenNothingChangesNothingIsWritten(t *testing.T) {
	t.Parallel()
	awaitPeers(t)
	namespace := suite.b.namespace(t)
	suite.a.awaitImported(t, suite.b.publish(t, namespace, "web"), prompt)
	// Versions of Istio that other tests installed are removed when nothing uses them.
	for _, c := range []*cluster{suite.a, suite.b} {
		for _, version := range istioversion.All() {
			if version != defaultIstio() {
				eventually(t, scheduled, "istiod "+version.Version+" is gone from "+c.name, func() string { return c.gone(version) })
			}
		}
	}
	// The document version of a deleted resource is pruned after a minute.
	for _, c := range []*cluster{suite.a, suite.b} {
		eventually(t, scheduled, "document versions in "+c.name+" are those of resources that exist", func() string {
			for name := range c.documentVersions(t) {
				if _, err := c.dynamic.Resource(federations).Get(t.Context(), name, metav1.GetOptions{}); err != nil {
					return err.Error()
				}
			}
			return ""
		})
	}
	observe := func() map[string]string {
		all := map[string]string{}
		for _, c := range []*cluster{suite.a, suite.b} {
			for kind, versions := range map[string]map[string]string{
				"ServiceEntry":    c.versions(t, serviceEntries, "", metav1.ListOptions{}),
				"DestinationRule": c.versions(t, destinationRules, "", metav1.ListOptions{}),
				"Helm release":    c.versions(t, secrets, "", metav1.ListOptions{LabelSelector: "owner=helm"}),
				"Secret":          c.versions(t, secrets, moduleNamespace, metav1.ListOptions{}),
				// istiod renews its leases in ConfigMaps of its own, every few seconds.
				"ConfigMap":    c.versions(t, configMaps, moduleNamespace, metav1.ListOptions{LabelSelector: "module=" + suite.module}),
				"webhooks":     c.versions(t, mutatingWebhooks, "", metav1.ListOptions{}),
				"ModuleConfig": c.versions(t, moduleConfigs, "", metav1.ListOptions{}),
			} {
				for name, version := range versions {
					// What Pods report of the way to peers they confirm every minute, as istiod renews its leases.
					if name != moduleNamespace+"/"+healthcheck.ReportsConfigMap {
						all[c.name+" "+kind+" "+name] = version
					}
				}
			}
		}
		return all
	}
	last, since, written := observe(), time.Now(), ""
	eventually(t, 5*time.Minute, "what went before has settled", func() string {
		if now := observe(); !maps.Equal(last, now) {
			for key, version := range now {
				if last[key] != version {
					written = key
				}
			}
			last, since = now, time.Now()
		}
		if time.Since(since) < quiet {
			return "written within the last seconds: " + written
		}
		return ""
	})
	releases := 0
	for deadline := time.Now().Add(idleTime); time.Now().Before(deadline); time.Sleep(5 * time.Second) {
		now := observe()
		for key, version := range last {
			if now[key] != version {
				t.Errorf("%s was written: %s became %q", key, version, now[key])
			}
		}
		for key := range now {
			if _, known := last[key]; !known {
				t.Errorf("%s was created", key)
			}
		}
		if t.Failed() {
			return
		}
	}
	for key := range last {
		if strings.Contains(key, " Helm release ") {
			releases++
		}
	}
	if releases < 2 {
		t.Errorf("%d Helm releases were watched, want those of two clusters", releases)
	}
}
