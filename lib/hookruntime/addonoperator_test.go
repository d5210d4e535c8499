package hookruntime

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/deckhouse/module-sdk/pkg"
	gohook "github.com/flant/addon-operator/pkg/module_manager/go_hook"
	"github.com/flant/shell-operator/pkg/kube_events_manager/types"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestConfigurationIsTranslatedWhole(t *testing.T) {
	g := NewWithT(t)
	no := false
	labels := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
	config, err := addonOperatorConfig(pkg.HookConfig{
		OnBeforeHelm:       &pkg.OrderedConfig{Order: 1},
		OnAfterHelm:        &pkg.OrderedConfig{Order: 2},
		OnBeforeDeleteHelm: &pkg.OrderedConfig{Order: 3},
		OnAfterDeleteHelm:  &pkg.OrderedConfig{Order: 4},
		AllowFailure:       true,
		Queue:              "/modules/example",
		Settings:           &pkg.HookConfigSettings{ExecutionMinInterval: time.Second, ExecutionBurst: 5},
		Schedule:           []pkg.ScheduleConfig{{Name: "floor", Crontab: "* * * * *"}},
		Kubernetes: []pkg.KubernetesConfig{{
			Name: "services", Kind: "Service",
			NameSelector:                 &pkg.NameSelector{MatchNames: []string{"a"}},
			NamespaceSelector:            &pkg.NamespaceSelector{NameSelector: &pkg.NameSelector{MatchNames: []string{"ns"}}, LabelSelector: labels},
			LabelSelector:                labels,
			FieldSelector:                &pkg.FieldSelector{MatchExpressions: []pkg.FieldSelectorRequirement{{Field: "spec.type", Operator: "Equals", Value: "NodePort"}}},
			ExecuteHookOnEvents:          &no,
			ExecuteHookOnSynchronization: &no,
			WaitForSynchronization:       &no,
		}},
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.Kubernetes).To(HaveLen(1))
	g.Expect(config.Kubernetes[0].FilterFunc).NotTo(BeNil())
	config.Kubernetes[0].FilterFunc = nil
	g.Expect(config).To(Equal(&gohook.HookConfig{
		OnBeforeHelm:       &gohook.OrderedConfig{Order: 1},
		OnAfterHelm:        &gohook.OrderedConfig{Order: 2},
		OnBeforeDeleteHelm: &gohook.OrderedConfig{Order: 3},
		OnAfterDeleteHelm:  &gohook.OrderedConfig{Order: 4},
		AllowFailure:       true,
		Queue:              "/modules/example",
		Settings:           &gohook.HookConfigSettings{ExecutionMinInterval: time.Second, ExecutionBurst: 5},
		Schedule:           []gohook.ScheduleConfig{{Name: "floor", Crontab: "* * * * *"}},
		Kubernetes: []gohook.KubernetesConfig{{
			Name: "services", ApiVersion: "v1", Kind: "Service",
			NameSelector:                 &types.NameSelector{MatchNames: []string{"a"}},
			NamespaceSelector:            &types.NamespaceSelector{NameSelector: &types.NameSelector{MatchNames: []string{"ns"}}, LabelSelector: labels},
			LabelSelector:                labels,
			FieldSelector:                &types.FieldSelector{MatchExpressions: []types.FieldSelectorRequirement{{Field: "spec.type", Operator: "Equals", Value: "NodePort"}}},
			ExecuteHookOnEvents:          &no,
			ExecuteHookOnSynchronization: &no,
			WaitForSynchronization:       &no,
		}},
	}))
}

func TestFilter(t *testing.T) {
	service := &unstructured.Unstructured{Object: map[string]any{
		"kind":     "Service",
		"metadata": map[string]any{"name": "web", "namespace": "shop"},
		"spec":     map[string]any{"ports": []any{map[string]any{"port": int64(80)}, map[string]any{"port": int64(443)}}},
	}}
	cases := map[string]struct{ filter, want, wantError string }{
		"keeps the object whole without a filter":          {"", `{"kind":"Service","metadata":{"name":"web","namespace":"shop"},"spec":{"ports":[{"port":80},{"port":443}]}}`, ""},
		"reshapes the object":                              {`{name: .metadata.name, ports: [.spec.ports[].port]}`, `{"name":"web","ports":[80,443]}`, ""},
		"yields null where shell-operator does":            {`.spec.type`, `null`, ""},
		"yields null for no output at all":                 {`select(.kind == "Node")`, `null`, ""},
		"collects several outputs":                         {`.spec.ports[].port`, `[80,443]`, ""},
		"names the object in the error of a failed filter": {`.metadata.name + 1`, ``, `filter Service "shop/web"`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			filter, err := jqFilter(c.filter)
			g.Expect(err).NotTo(HaveOccurred())
			before := service.DeepCopy()
			result, err := filter(service)
			g.Expect(service).To(Equal(before), "a filter must not change the object of the informer")
			if c.wantError != "" {
				g.Expect(err).To(MatchError(ContainSubstring(c.wantError)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			encoded, err := json.Marshal(result)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(encoded).To(MatchJSON(c.want))
		})
	}
}

func TestMalformedFilterIsAnErrorAtRegistration(t *testing.T) {
	g := NewWithT(t)
	_, err := addonOperatorConfig(pkg.HookConfig{Kubernetes: []pkg.KubernetesConfig{{Name: "x", Kind: "Service", JqFilter: "{"}}})
	g.Expect(err).To(MatchError(And(ContainSubstring(`binding "x"`), ContainSubstring("compile jq filter"))))
}

func TestSnapshotsDecodeLikeModuleSDK(t *testing.T) {
	g := NewWithT(t)
	source := gohook.Snapshots{"names": {
		&gohook.Wrapped{Wrapped: json.RawMessage(`{"name":"a"}`)},
		&gohook.Wrapped{Wrapped: json.RawMessage(`"b"`)},
	}}
	items := snapshots{source: source}.Get("names")
	g.Expect(items).To(HaveLen(2))

	var object struct{ Name string }
	g.Expect(items[0].UnmarshalTo(&object)).To(Succeed())
	g.Expect(object.Name).To(Equal("a"))
	var text string
	g.Expect(items[0].UnmarshalTo(&text)).To(MatchError(ContainSubstring("decode snapshot into *string")))
	g.Expect(items[1].UnmarshalTo(&text)).To(Succeed())
	g.Expect(text).To(Equal("b"))
	g.Expect(items[1].String()).To(Equal(`"b"`))
	g.Expect(snapshots{source: source}.Get("others")).To(BeNil())
}
