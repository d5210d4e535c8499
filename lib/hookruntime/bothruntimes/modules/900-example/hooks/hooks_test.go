// Package hooks proves that one hook does the same in both runtimes. It lies
// below modules/NNN-name/hooks/ because both SDKs insist on such a path.
package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/app"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"
	"github.com/flant/addon-operator/pkg/module_manager/models/hooks/kind"
	"github.com/flant/addon-operator/pkg/utils"
	addonsdk "github.com/flant/addon-operator/sdk"
	bindingcontext "github.com/flant/shell-operator/pkg/hook/binding_context"
	objectpatch "github.com/flant/shell-operator/pkg/kube/object_patch"
	"github.com/flant/shell-operator/pkg/kube_events_manager/types"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

const runBatchEnv = "HOOKRUNTIME_TEST_RUN_BATCH"

// exampleHooks are two, so that their names could clash.
func exampleHooks() []hookruntime.Hook {
	return []hookruntime.Hook{
		{
			Name: "publish",
			Config: pkg.HookConfig{
				Queue:      "/modules/example",
				Kubernetes: []pkg.KubernetesConfig{{Name: "services", APIVersion: "v1", Kind: "Service", JqFilter: `{name: .metadata.name, ports: [.spec.ports[].port]}`}},
			},
			Run: publish,
		},
		{Name: "other", Config: pkg.HookConfig{OnStartup: &pkg.OrderedConfig{Order: 7}}, Run: func(context.Context, *pkg.HookInput) error { return nil }},
	}
}

func publish(_ context.Context, in *pkg.HookInput) error {
	if in.ConfigValues.Get("example.broken").Bool() {
		return errors.New("asked to fail")
	}
	names := []string{}
	for _, snapshot := range in.Snapshots.Get("services") {
		var service struct {
			Name  string
			Ports []int
		}
		if err := snapshot.UnmarshalTo(&service); err != nil {
			return err
		}
		names = append(names, fmt.Sprintf("%s.%s:%d", service.Name, in.Values.Get("global.discovery.clusterDomain").String(), service.Ports[0]))
	}
	in.Values.Set("example.internal.services", names)
	in.Values.Remove("example.internal.old")
	in.PatchCollector.CreateOrUpdate(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "published", "namespace": "d8-example"},
	})
	in.PatchCollector.Delete("v1", "Secret", "d8-example", "old")
	in.MetricsCollector.Set("published", float64(len(names)), map[string]string{"kind": "service"}, operation.WithGroup("services"))
	in.Logger.Info("published")
	if in.DC == nil || in.DC.GetHTTPClient() == nil || in.DC.GetClock() == nil {
		return errors.New("no dependency container")
	}
	return nil
}

func TestMain(m *testing.M) {
	if os.Getenv(runBatchEnv) != "" {
		hookruntime.RegisterWithModuleSDK(exampleHooks())
		app.Run()
		os.Exit(0)
	}
	hookruntime.RegisterWithAddonOperator("900-example", exampleHooks(), hookruntime.NewDependencies())
	os.Exit(m.Run())
}

var service = &unstructured.Unstructured{Object: map[string]any{
	"apiVersion": "v1", "kind": "Service",
	"metadata": map[string]any{"name": "web", "namespace": "shop"},
	"spec":     map[string]any{"ports": []any{map[string]any{"port": int64(80)}}},
}}

func values() utils.Values {
	return utils.Values{
		"global":  map[string]any{"discovery": map[string]any{"clusterDomain": "cluster.local"}},
		"example": map[string]any{"internal": map[string]any{"old": true}},
	}
}

// outcome is what a run leaves behind, in a form that both runtimes have.
type outcome struct {
	ValuesPatch []map[string]any
	Objects     []string
	Metrics     []metric
	Failed      bool
}

type metric struct {
	Name   string
	Group  string
	Value  float64
	Labels map[string]string
}

func TestAHookDoesTheSameInBothRuntimes(t *testing.T) {
	for name, configValues := range map[string]utils.Values{
		"when it succeeds": {"example": map[string]any{}},
		"when it fails":    {"example": map[string]any{"broken": true}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			linked := runInAddonOperator(g, configValues)
			batch := runInModuleSDK(t, g, configValues)
			g.Expect(batch).To(Equal(linked))
			if linked.Failed {
				g.Expect(linked.ValuesPatch).To(BeEmpty())
				return
			}
			g.Expect(linked.ValuesPatch).To(ContainElement(HaveKeyWithValue("value", []any{"web.cluster.local:80"})))
			g.Expect(linked.Objects).To(HaveLen(2))
			g.Expect(linked.Metrics).To(ConsistOf(metric{"published", "services", 1, map[string]string{"kind": "service"}}))
		})
	}
}

func TestNamesAreUniqueInAddonOperator(t *testing.T) {
	g := NewWithT(t)
	names := []string{}
	for _, hook := range addonsdk.Registry().GetModuleHooks("example") {
		names = append(names, hook.GetName())
	}
	g.Expect(names).To(Equal([]string{"900-example/hooks/publish.go", "900-example/hooks/other.go"}))
}

func TestNamesAreUniqueInModuleSDK(t *testing.T) {
	g := NewWithT(t)
	command := exec.Command(os.Args[0], "hook", "list")
	command.Env = append(os.Environ(), runBatchEnv+"=1")
	output, err := command.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(output))
	g.Expect(string(output)).To(And(ContainSubstring("0 - publish\n"), ContainSubstring("1 - other\n")))
}

func runInAddonOperator(g Gomega, configValues utils.Values) outcome {
	hook := addonsdk.Registry().GetModuleHooks("example")[0]
	filtered, err := hook.GetConfig().Kubernetes[0].FilterFunc(service)
	g.Expect(err).NotTo(HaveOccurred())
	contexts := []bindingcontext.BindingContext{{
		Binding:   "services",
		Snapshots: map[string][]types.ObjectAndFilterResult{"services": {{FilterResult: filtered}}},
	}}
	result, err := hook.Execute(context.Background(), "v1", contexts, "example", configValues, values(), nil)
	if err != nil {
		return outcome{Failed: true}
	}
	return outcomeOf(g, result)
}

func outcomeOf(g Gomega, result *kind.HookResult) outcome {
	out := outcome{}
	convert(g, result.Patches[utils.MemoryValuesPatch].Operations, &out.ValuesPatch)
	convert(g, result.Metrics, &out.Metrics)
	for _, operation := range result.ObjectPatcherOperations {
		out.Objects = append(out.Objects, operation.Description())
	}
	return out
}

func convert(g Gomega, from, to any) {
	raw, err := json.Marshal(from)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(json.Unmarshal(raw, to)).To(Succeed())
}

// runInModuleSDK runs the hook as Deckhouse does: a process that finds its input
// in files and leaves its effects in files.
func runInModuleSDK(t *testing.T, g Gomega, configValues utils.Values) outcome {
	t.Helper()
	dir := t.TempDir()
	filtered, err := addonsdk.Registry().GetModuleHooks("example")[0].GetConfig().Kubernetes[0].FilterFunc(service)
	g.Expect(err).NotTo(HaveOccurred())
	files := map[string]any{
		"VALUES_PATH":        values(),
		"CONFIG_VALUES_PATH": configValues,
		"BINDING_CONTEXT_PATH": []any{map[string]any{
			"binding": "services", "snapshots": map[string]any{"services": []any{map[string]any{"filterResult": filtered}}},
		}},
		"METRICS_PATH": nil, "KUBERNETES_PATCH_PATH": nil, "VALUES_JSON_PATCH_PATH": nil, "CONFIG_VALUES_JSON_PATCH_PATH": nil,
	}
	environment := append(os.Environ(), runBatchEnv+"=1")
	for variable, content := range files {
		path := filepath.Join(dir, variable)
		raw := []byte{}
		if content != nil {
			raw, err = json.Marshal(content)
			g.Expect(err).NotTo(HaveOccurred())
		}
		g.Expect(os.WriteFile(path, raw, 0o600)).To(Succeed())
		environment = append(environment, variable+"="+path)
	}
	command := exec.Command(os.Args[0], "hook", "run", "0")
	command.Env = environment
	if output, err := command.CombinedOutput(); err != nil {
		g.Expect(string(output)).To(ContainSubstring("asked to fail"))
		return outcome{Failed: true}
	}

	read := func(variable string) []byte {
		raw, err := os.ReadFile(filepath.Join(dir, variable))
		g.Expect(err).NotTo(HaveOccurred())
		return raw
	}
	patch, err := utils.ValuesPatchFromBytes(read("VALUES_JSON_PATCH_PATH"))
	g.Expect(err).NotTo(HaveOccurred())
	operations, err := objectpatch.ParseOperations(read("KUBERNETES_PATCH_PATH"))
	g.Expect(err).NotTo(HaveOccurred())
	out := outcome{}
	convert(g, patch.Operations, &out.ValuesPatch)
	for _, operation := range operations {
		out.Objects = append(out.Objects, operation.Description())
	}
	decoder := json.NewDecoder(bytes.NewReader(read("METRICS_PATH")))
	for decoder.More() {
		var one metric
		g.Expect(decoder.Decode(&one)).To(Succeed())
		out.Metrics = append(out.Metrics, one)
	}
	return out
}
