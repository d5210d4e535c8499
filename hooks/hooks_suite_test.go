package hooks

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse/module-sdk/testing/framework"
	"github.com/jonboulle/clockwork"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/tidwall/gjson"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
)

func TestHooks(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Hooks")
}

// now is what the clock shows in every spec until it is advanced. It is in the
// future, since the CAs that specs make are valid from today, for ten years.
var now = time.Date(2030, 11, 22, 12, 0, 10, 0, time.UTC)

const federationSettings = `
global:
  discovery: {clusterDomain: cluster-a.local, clusterUUID: uuid-a}
  modules: {publicDomainTemplate: "%s.cluster-a.example.com", https: {mode: OnlyInURI}}
istio:
  federation: {enabled: true}
  internal: {}
`

// run is one hook on a fake cluster, with a clock to advance.
type run struct {
	*framework.HookExecutionConfig
	clock *clockwork.FakeClock
}

func newRun(hook hookruntime.Hook, values string) *run {
	GinkgoHelper()
	execution := framework.NewHookExecutionConfig(GinkgoTB(), &hook.Config, hook.Run,
		framework.WithInitialValues(underItsName(values)),
		framework.WithOpenAPIDir("../openapi"),
		framework.WithCRD("deckhouse.io", "v1alpha1", "IstioFederation", false),
		framework.WithCRD("deckhouse.io", "v1alpha1", "IstioMulticluster", false),
		framework.WithCRD("networking.istio.io", "v1", "ServiceEntry", true),
		framework.WithCRD("gateway.networking.k8s.io", "v1", "GatewayClass", false),
		framework.WithCRD("networking.istio.io", "v1", "DestinationRule", true),
	)
	clock := clockwork.NewFakeClockAt(now)
	return &run{execution, clock}
}

// written are the module's values and labels as specs write them.
var written = regexp.MustCompile(`(?m)^istio:|module: istio\b`)

// underItsName replaces them by what a module of the name has with which the suite is
// built: `make test-unit` runs it with the second one, too.
func underItsName(text string) string {
	return written.ReplaceAllStringFunc(text, func(found string) string {
		if found == "istio:" {
			return names.ValuesKey() + ":"
		}
		return "module: " + names.Module()
	})
}

func pathUnderItsName(path string) string {
	if below, ok := strings.CutPrefix(path, "istio."); ok {
		return names.ValuesPath(below)
	}
	return path
}

// ValuesGet returns a value of the module.
func (r *run) ValuesGet(path string) gjson.Result {
	return r.HookExecutionConfig.ValuesGet(pathUnderItsName(path))
}

// ValuesSet sets a value of the module.
func (r *run) ValuesSet(path string, value any) {
	r.HookExecutionConfig.ValuesSet(pathUnderItsName(path), value)
}

// ValuesDelete deletes a value of the module.
func (r *run) ValuesDelete(path string) {
	r.HookExecutionConfig.ValuesDelete(pathUnderItsName(path))
}

// given replaces the cluster's objects.
func (r *run) given(objects ...string) *run {
	GinkgoHelper()
	r.KubeStateSet(underItsName(strings.Join(objects, "\n---\n")))
	r.DependencyContainer().SetClock(r.clock)
	return r
}

func (r *run) succeeds() *run {
	GinkgoHelper()
	r.DependencyContainer().SetClock(r.clock)
	if client, ok := r.KubeClient().(*dynamicfake.FakeDynamicClient); ok {
		client.ClearActions()
	}
	r.hooksClient().ClearActions()
	r.RunHook()
	Expect(r.HookError()).NotTo(HaveOccurred())
	return r
}

// hooksClient is that of the first state of the cluster: the framework gives hooks
// no other one when the state is replaced.
func (r *run) hooksClient() *dynamicfake.FakeDynamicClient {
	return r.DependencyContainer().MustGetK8sClient().Dynamic().(*dynamicfake.FakeDynamicClient)
}

// statusWrites are the patches of a status that the last run has sent.
func (r *run) statusWrites() []string {
	var patches []string
	for _, action := range r.KubeClient().(*dynamicfake.FakeDynamicClient).Actions() {
		if patch, ok := action.(clienttesting.PatchAction); ok && action.GetSubresource() == "status" {
			patches = append(patches, string(patch.GetPatch()))
		}
	}
	return patches
}

// names lists the objects of a kind in d8-istio.
func (r *run) object(kind, name string) *unstructured.Unstructured {
	return r.KubernetesResource(kind, "d8-istio", name)
}

func (r *run) metric(name string) (float64, bool) {
	for _, metric := range r.CollectedMetrics() {
		if metric.Name == name && metric.Value != nil {
			return *metric.Value, true
		}
	}
	return 0, false
}

func aSecret(namespace, name string, data map[string]string) string {
	var text bytes.Buffer
	fmt.Fprintf(&text, "apiVersion: v1\nkind: Secret\nmetadata: {namespace: %s, name: %s}\ntype: kubernetes.io/tls\ndata:\n", namespace, name)
	for key, value := range data {
		fmt.Fprintf(&text, "  %s: %s\n", key, base64.StdEncoding.EncodeToString([]byte(value)))
	}
	return text.String()
}

var _ = Describe("The hooks of the module", func() {
	It("are valid in both runtimes and have unique names", func() {
		resident, _ := Resident(context.Background())
		for _, all := range [][]hookruntime.Hook{All(), resident} {
			names := map[string]bool{}
			for _, hook := range all {
				Expect(hook.Validate()).To(Succeed(), hook.Name)
				Expect(names).NotTo(HaveKey(hook.Name))
				names[hook.Name] = true
			}
		}
	})

	It("are in files of their names, each with its test beside it, and so is what belongs to one of them", func() {
		both := []string{"metadata_exporter_certificate", "api_proxy_certificate"} // certificate_self_signed.go
		common := []string{
			"bindings", "certificate_self_signed", "events", "hooks", "input", "mesh_configurations", "metrics", "own_network", "secrets", "snapshot_cache",
			"fixtures_test", "hooks_suite_test",
		}
		all, _ := Resident(context.Background()) // the names in it are a superset of All's
		all = append(all, embeddedIstio())       // which is among them under a second name only
		for _, hook := range all {
			if !slices.Contains(both, hook.Name) {
				Expect(hook.Name + ".go").To(BeARegularFile())
				Expect(hook.Name + "_test.go").To(BeARegularFile())
			}
		}
		files, err := filepath.Glob("*.go")
		Expect(err).NotTo(HaveOccurred())
		for _, file := range files {
			name := strings.TrimSuffix(file, ".go")
			Expect(strings.HasPrefix(name, "peer_") || slices.Contains(common, name) || slices.Contains(common, strings.TrimSuffix(name, "_test")) ||
				slices.ContainsFunc(all, func(hook hookruntime.Hook) bool { return strings.HasPrefix(name, hook.Name) })).To(BeTrue(), file)
		}
	})

	It("do not use the main queue when they run every minute, because everything else waits for it", func() {
		for _, hook := range All() {
			for _, schedule := range hook.Config.Schedule {
				if schedule.Crontab == "* * * * *" {
					Expect(hook.Config.Queue).To(HavePrefix("/modules/istio/"), hook.Name)
				}
			}
		}
	})
})
