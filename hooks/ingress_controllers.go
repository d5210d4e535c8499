package hooks

import (
	"context"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/metric/operation"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/ingresscontroller"
)

const (
	ingressControllersMetricsGroup = "istio_ingress_controllers"
	ingressControllerPodsMetric    = "d8_istio_ingress_controller_pods"
)

// ingressControllers counts the Pods of ingress controllers with a sidecar, and
// those among them whose sidecar intercepts users' requests.
func ingressControllers() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "ingress_controllers",
		Config: sdk.HookConfig{
			Queue:    "/modules/istio/data-plane",
			Schedule: []sdk.ScheduleConfig{everyMinute},
			Kubernetes: []sdk.KubernetesConfig{withoutEvents(sdk.KubernetesConfig{
				Name:          "pods",
				APIVersion:    "v1",
				Kind:          "Pod",
				LabelSelector: labelled(canonicalNameLabel),
				JqFilter: `{
					namespace: .metadata.namespace,
					app: .metadata.labels["app.kubernetes.io/name"],
					component: .metadata.labels["app.kubernetes.io/component"],
					deckhouseApp: .metadata.labels.app,
					sidecar: ((.metadata.annotations["sidecar.istio.io/status"] // "") != ""),
					includeInboundPorts: .metadata.annotations["traffic.sidecar.istio.io/includeInboundPorts"],
					interceptionMode: .metadata.annotations["sidecar.istio.io/interceptionMode"],
					finished: ` + finished + `
				}`,
			})},
		},
		Run: runIngressControllers,
	}
}

func runIngressControllers(_ context.Context, in *sdk.HookInput) error {
	pods, err := snapshot[ingresscontroller.Pod](in, "pods")
	if err != nil {
		return err
	}
	in.MetricsCollector.Expire(ingressControllersMetricsGroup)
	for controller, count := range ingresscontroller.InMesh(pods) {
		for inbound, number := range map[string]int{"direct": count.Direct, "intercepted": count.Intercepted} {
			in.MetricsCollector.Set(ingressControllerPodsMetric, float64(number), map[string]string{
				"namespace": controller.Namespace, "controller": controller.Name, "inbound": inbound,
			}, operation.WithGroup(ingressControllersMetricsGroup))
		}
	}
	return nil
}
