package hooks

import (
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/dataplane"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/injection"
	"github.com/deckhouse-mesh/istio/lib/names"
)

var applicationNamespacesPath = names.ValuesPath("internal.applicationNamespaces")

// applicationNamespaces finds the namespaces whose Pods have, or will have, a
// sidecar: by their labels, by Pods that request one themselves (as ingress
// controllers do), and by sidecars that still run.
func applicationNamespaces() hookruntime.Hook {
	// Pods that request one are few, unlike those that have one, so they may wake the hook.
	asking := podsBinding()
	asking.Name, asking.ExecuteHookOnEvents, asking.ExecuteHookOnSynchronization = "asking_pods", nil, nil
	asking.LabelSelector = &metav1.LabelSelector{MatchLabels: map[string]string{injectLabel: "true"}}
	naming := asking
	naming.Name = "naming_pods"
	naming.LabelSelector = labelled(revisionLabel)
	injected := podsBinding()
	injected.Name = "injected_pods"
	injected.LabelSelector = labelled(canonicalNameLabel)
	return hookruntime.Hook{
		Name: "application_namespaces",
		Config: sdk.HookConfig{
			OnBeforeHelm: at(orderFacts),
			Queue:        "/modules/istio/application-namespaces",
			Schedule:     []sdk.ScheduleConfig{everyMinute},
			Kubernetes:   []sdk.KubernetesConfig{namespacesBinding(), asking, naming, injected},
		},
		Run: runApplicationNamespaces,
	}
}

func runApplicationNamespaces(_ context.Context, in *sdk.HookInput) error {
	namespaces, err := snapshot[injection.Namespace](in, "namespaces")
	if err != nil {
		return err
	}
	if len(namespaces) == 0 {
		// No cluster is without namespaces: nothing is known right now.
		return nil
	}
	pods, err := snapshot[dataplane.Pod](in, "asking_pods", "naming_pods", "injected_pods")
	if err != nil {
		return err
	}
	in.Values.Set(applicationNamespacesPath, dataplane.Namespaces(namespaces, pods))
	return nil
}
