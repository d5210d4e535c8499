//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Charts of `make upgrade-charts`, with the names of their folders: two builds of the module, whose images have
// different digests, each with its hooks in the operator and as processes.
const (
	nextBuild     = "next"
	thisBundle    = "bundle"
	nextBundle    = "next-bundle"
	roomForHooks  = " --set resources.limits.memory=3Gi"
	packagedChart = "/chart/istio-operator-"
)

// ownPrograms are those of a build of the module, besides the operator.
var ownPrograms = []component{exporter, watcher, healthchecker}

// replacement of one build of the module by another.
type replacement struct {
	name string
	// command that replaces the operator.
	command string
	// programs of the module that are replaced, besides the operator.
	programs []component
}

// TestSoakOfUpgrades replaces builds of the module by others while requests cross the
// clusters. Nobody on either side notices: no request fails, no stream breaks, no
// cluster rejects the other, and what peers and proxies know it by stays.
func TestSoakOfUpgrades(t *testing.T) {
	soakOnly(t)
	by := newInstallation(t)
	by.install(t)
	by.federate(t)
	load := startLoad(t)
	load.withstands(t, disturbance{name: "GitOps applies all every ten seconds for three minutes", happen: func(t *testing.T) {
		t.Helper()
		by.remainsWhenAppliedAgain(t, 18, 10*time.Second)
	}})
	rollback := by.command(t, "helm rollback")
	for _, each := range []replacement{
		{"the chart is upgraded", by.upgrade(t, nextBuild), ownPrograms},
		{"the chart is rolled back", rollback, ownPrograms},
		{"hooks become processes, as in Deckhouse", by.upgrade(t, thisBundle) + roomForHooks, nil},
		{"the bundle is upgraded", by.upgrade(t, nextBundle), ownPrograms},
		{"the bundle is rolled back", rollback, ownPrograms},
	} {
		load.withstands(t, disturbance{name: each.name, happen: each.happen})
	}
}

// command of the page's section about upgrades that begins so.
func (i installation) command(t *testing.T, prefix string) string {
	t.Helper()
	for line := range strings.Lines(i.page.commands("Upgrade and rollback", 0)) {
		if strings.HasPrefix(line, prefix) {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("%s has no command %q", i.page.name, prefix)
	return ""
}

// upgrade is the page's command with the chart of another build.
func (i installation) upgrade(t *testing.T, build string) string {
	t.Helper()
	command := i.command(t, "helm upgrade")
	chart := ""
	for _, word := range strings.Fields(command) {
		if strings.Contains(word, packagedChart) {
			chart = word
		}
	}
	if chart == "" {
		t.Fatalf("%q names no chart", command)
	}
	return strings.Replace(command, chart, ".cache/upgrade/"+build+"/istio-operator-*.tgz", 1)
}

// happen replaces the build in both clusters at the same time, waits until its programs run, and compares what is to stay.
func (r replacement) happen(t *testing.T) {
	t.Helper()
	begun := time.Now()
	before := map[*cluster]knownBy{}
	former := map[*cluster]map[component]string{}
	replaced := append(slices.Clone(r.programs), operator)
	for _, c := range suite.clusters {
		before[c], former[c] = c.knownBy(t), map[component]string{}
		for _, program := range replaced {
			former[c][program] = c.running(t, program)
		}
		// They hold connections, and no build of ours changes them.
		t.Cleanup(c.mustRun(t, gateway, istiodOf(defaultIstio())))
	}
	onEach(t, func(c *cluster) error { return c.shell("", r.command, "") })
	for _, c := range suite.clusters {
		for _, program := range replaced {
			c.awaitReplaced(t, program, former[c][program])
		}
	}
	awaitPeers(t)
	for _, c := range suite.clusters {
		before[c].mustRemain(t, c)
		for _, rejected := range c.rejectedAtItsEntrance(t, begun) {
			t.Errorf("%s rejected its peer: %s", c.name, rejected)
		}
	}
}

// awaitReplaced waits until none of the former containers of the component is left, and others are ready.
func (c *cluster) awaitReplaced(t *testing.T, of component, former string) {
	t.Helper()
	eventually(t, 2*restarted, fmt.Sprintf("%s of %s has been replaced", of, c.name), func() string {
		now := c.running(t, of)
		if now == "" {
			return "none runs"
		}
		for _, container := range strings.Split(former, ", ") {
			if strings.Contains(now, container) {
				return "still runs " + container
			}
		}
		_, err := c.readyPod(of)
		return because(err)
	})
}

// knownBy is what a cluster is known by: what its peer and its proxies know it and the peer by.
type knownBy struct {
	// objects are the UIDs of what must not be made anew, by kind, namespace and name.
	objects map[string]string
	// keys is the content of Secrets with keys.
	keys map[string]string
	// readySince is when the condition Ready of IstioFederations became what it is.
	readySince map[string]string
}

// knownBy now.
func (c *cluster) knownBy(t *testing.T) knownBy {
	t.Helper()
	found := knownBy{map[string]string{}, map[string]string{}, map[string]string{}}
	for kind, resource := range map[string]schema.GroupVersionResource{
		"ServiceEntry": serviceEntries, "DestinationRule": destinationRules, "IstioFederation": federations,
		"Secret": secrets, "ConfigMap": configMaps, "MutatingWebhookConfiguration": mutatingWebhooks,
	} {
		list, err := c.dynamic.Resource(resource).List(context.Background(), metav1.ListOptions{LabelSelector: "owner!=helm"})
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range list.Items {
			found.objects[strings.Join([]string{kind, object.GetNamespace(), object.GetName()}, " ")] = string(object.GetUID())
			if kind == "IstioFederation" {
				found.readySince[object.GetName()] = lastTransition(&object, "Ready")
			}
		}
	}
	for _, name := range [][2]string{{"d8-system", "istio-ca"}, {"d8-system", "istio-remote-authn-keypair"}, {moduleNamespace, "cacerts"}} {
		secret, err := c.typed.CoreV1().Secrets(name[0]).Get(context.Background(), name[1], metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range secret.Data {
			found.keys[strings.Join([]string{name[0], name[1], key}, " ")] = string(value)
		}
	}
	return found
}

// lastTransition is when the condition became what it is.
func lastTransition(of *unstructured.Unstructured, kind string) string {
	conditions, _, _ := unstructured.NestedSlice(of.Object, "status", "conditions")
	for _, item := range conditions {
		if fields, _ := item.(map[string]any); fields["type"] == kind {
			return text(fields["status"]) + " since " + text(fields["lastTransitionTime"])
		}
	}
	return "unknown"
}

// mustRemain compares it with what the cluster is now.
func (k knownBy) mustRemain(t *testing.T, c *cluster) {
	t.Helper()
	now := c.knownBy(t)
	for name, uid := range k.objects {
		switch now.objects[name] {
		case uid:
		case "":
			t.Errorf("%s: %s is gone", c.name, name)
		default:
			t.Errorf("%s: %s was made anew", c.name, name)
		}
	}
	if !maps.Equal(k.keys, now.keys) {
		t.Errorf("%s: the CA or the keys of the cluster have changed", c.name) // their content is nobody's business
	}
	if !maps.Equal(k.readySince, now.readySince) {
		t.Errorf("%s: a condition Ready changed in between: %v became %v", c.name, k.readySince, now.readySince)
	}
}

// rejectedAtItsEntrance are the requests since then that the cluster's ingress controller answered as not permitted.
func (c *cluster) rejectedAtItsEntrance(t *testing.T, since time.Time) (rejected []string) {
	t.Helper()
	for line := range strings.Lines(c.logs(t, ingressController)) {
		var entry struct {
			StartUTC                 time.Time
			RequestHost, RequestPath string
			DownstreamStatus         int
		}
		if json.Unmarshal([]byte(line), &entry) != nil || entry.StartUTC.Before(since) {
			continue
		}
		if entry.DownstreamStatus == http.StatusUnauthorized || entry.DownstreamStatus == http.StatusForbidden {
			rejected = append(rejected, fmt.Sprintf("%d for https://%s%s", entry.DownstreamStatus, entry.RequestHost, entry.RequestPath))
		}
	}
	return rejected
}
