package hookruntime

import (
	"context"
	"testing"
	"time"

	"github.com/deckhouse/module-sdk/pkg"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func validHook() Hook {
	return Hook{
		Name: "services",
		Config: pkg.HookConfig{
			Queue:    "/modules/example",
			Schedule: []pkg.ScheduleConfig{{Name: "floor", Crontab: "* * * * *"}},
			Kubernetes: []pkg.KubernetesConfig{
				{Name: "services", APIVersion: "v1", Kind: "Service", JqFilter: ".metadata.name"},
				{Name: "nodes", APIVersion: "v1", Kind: "Node"},
			},
		},
		Run: func(context.Context, *pkg.HookInput) error { return nil },
	}
}

func TestValidate(t *testing.T) {
	yes := true
	cases := map[string]struct {
		change func(*Hook)
		want   string
	}{
		"accepts a hook that means the same in both runtimes": {func(*Hook) {}, ""},
		"accepts namespaces selected by name and label": {func(h *Hook) {
			h.Config.Kubernetes[0].NamespaceSelector = &pkg.NamespaceSelector{NameSelector: &pkg.NameSelector{}, LabelSelector: &metav1.LabelSelector{}}
		}, ""},
		"accepts a limit of runs for events": {func(h *Hook) {
			h.Config.Settings = &pkg.HookConfigSettings{ExecutionMinInterval: time.Second, ExecutionBurst: 1}
		}, ""},
		"rejects a limit of runs that would hold up Helm": {func(h *Hook) {
			h.Config.Settings = &pkg.HookConfigSettings{ExecutionMinInterval: time.Second, ExecutionBurst: 1}
			h.Config.OnBeforeHelm = &pkg.OrderedConfig{Order: 1}
		}, "holds up all modules"},
		"rejects a name that is no file name": {func(h *Hook) { h.Name = "Services.go" }, "use the file name"},
		"rejects a hook that does nothing":    {func(h *Hook) { h.Run = nil }, "Run is missing"},
		"rejects snapshots at startup": {func(h *Hook) {
			h.Config.OnStartup = &pkg.OrderedConfig{Order: 1}
		}, "exclude each other"},
		"rejects a malformed crontab":       {func(h *Hook) { h.Config.Schedule[0].Crontab = "sometimes" }, "crontab is not valid"},
		"rejects a schedule without a name": {func(h *Hook) { h.Config.Schedule[0].Name = "" }, "Schedule[0] has no Name"},
		"rejects two bindings with one snapshot": {func(h *Hook) {
			h.Config.Kubernetes[1].Name = "services"
		}, "is taken by another binding"},
		"rejects a binding without a kind": {func(h *Hook) { h.Config.Kubernetes[0].Kind = "" }, "has no Kind"},
		"rejects AllowFailure of one binding, which addon-operator does not know": {func(h *Hook) {
			h.Config.Kubernetes[0].AllowFailure = &yes
		}, "sets AllowFailure"},
		"rejects resynchronization, which addon-operator does not know": {func(h *Hook) {
			h.Config.Kubernetes[0].ResynchronizationPeriod = "1m"
		}, "sets ResynchronizationPeriod"},
		"rejects namespaces selected by label only, at which module-sdk panics": {func(h *Hook) {
			h.Config.Kubernetes[0].NamespaceSelector = &pkg.NamespaceSelector{LabelSelector: &metav1.LabelSelector{}}
		}, "by label only"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			hook := validHook()
			c.change(&hook)
			if err := hook.Validate(); c.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError(ContainSubstring(c.want)))
			}
		})
	}
}

func TestTwoHooksOfOneNameAreRejected(t *testing.T) {
	g := NewWithT(t)
	g.Expect(validateAll([]Hook{validHook(), validHook()})).To(MatchError(ContainSubstring("another hook has this name")))
	g.Expect(func() { RegisterWithModuleSDK([]Hook{validHook(), validHook()}) }).To(Panic())
}
