package hooks

import (
	"context"
	"fmt"
	"maps"
	"slices"

	sdk "github.com/deckhouse/module-sdk/pkg"
	corev1 "k8s.io/api/core/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/meshconfig"
	"github.com/deckhouse-mesh/istio/lib/names"
)

const (
	// clusterLocalEvent is the reason of the Event in a namespace that is cluster-local as a whole although its label does not say so.
	clusterLocalEvent = "ClusterLocalNamespace"
)

var clusterLocalHostsPath = names.ValuesPath("internal.clusterLocalHosts")

// clusterLocalServices finds the Services and namespaces that people exclude from the mesh over several clusters.
func clusterLocalServices() hookruntime.Hook {
	reported := map[string]bool{}
	config := sdk.HookConfig{OnBeforeHelm: at(orderFacts)}
	for _, binding := range clusterLocalBindings() {
		config.Kubernetes = append(config.Kubernetes, withoutEvents(binding))
	}
	return hookruntime.Hook{
		Name:   "cluster_local_services",
		Config: config,
		Run: func(ctx context.Context, in *sdk.HookInput) error {
			_, widened, err := setClusterLocalHosts(in)
			if err != nil {
				return err
			}
			reportWidened(ctx, in, widened, reported)
			return nil
		},
	}
}

// clusterLocalBindings subscribe to what people have labelled.
func clusterLocalBindings() []sdk.KubernetesConfig {
	return []sdk.KubernetesConfig{
		{
			Name:          "services",
			APIVersion:    "v1",
			Kind:          "Service",
			LabelSelector: labelled(v1alpha1.ClusterLocalLabel),
			JqFilter:      `{namespace: .metadata.namespace, name: .metadata.name}`,
		},
		{
			Name:          "namespaces",
			APIVersion:    "v1",
			Kind:          "Namespace",
			LabelSelector: labelled(v1alpha1.ClusterLocalLabel),
			JqFilter:      `.metadata.name`,
		},
	}
}

// setClusterLocalHosts sets the hosts in the values and returns them, and the namespaces that are cluster-local as a
// whole although their labels do not say so.
func setClusterLocalHosts(in *sdk.HookInput) (hosts, widened []string, err error) {
	hosts = []string{}
	if multiclusterKind().enabled(in) {
		this, err := self(in)
		if err != nil {
			return nil, nil, err
		}
		services, err := snapshot[meshconfig.Service](in, "services")
		if err != nil {
			return nil, nil, err
		}
		namespaces, err := snapshot[string](in, "namespaces")
		if err != nil {
			return nil, nil, err
		}
		hosts, widened = meshconfig.ClusterLocalHosts(services, namespaces, this.TrustDomain)
	}
	in.Values.Set(clusterLocalHostsPath, hosts)
	return hosts, widened, nil
}

// reportWidened writes an Event into each of the namespaces, once. Its words depend
// on nothing that a tenant can vary, so there is one of it.
func reportWidened(ctx context.Context, in *sdk.HookInput, namespaces []string, reported map[string]bool) {
	maps.DeleteFunc(reported, func(namespace string, _ bool) bool {
		_, still := slices.BinarySearch(namespaces, namespace) // they are sorted
		return !still
	})
	message := fmt.Sprintf("All Services of this namespace stay in their cluster, because too many have the label %s: more than %d here, or too many "+
		"in the cluster. Label the namespace instead, or fewer Services.", v1alpha1.ClusterLocalLabel, meshconfig.MaxHosts)
	for _, namespace := range namespaces {
		if reported[namespace] {
			continue
		}
		reported[namespace] = true
		report(ctx, in, objectWarning(corev1.ObjectReference{
			APIVersion: "v1", Kind: "Namespace", Namespace: namespace, Name: namespace,
		}, clusterLocalEvent, message))
	}
}
