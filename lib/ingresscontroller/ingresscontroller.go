// Package ingresscontroller recognises ingress controllers that are part of the
// mesh, and whether they are configured for it: their sidecar should handle the
// requests to services, and not users' requests, which may be TLS of other names,
// long-lived, or need the user's address.
package ingresscontroller

import "slices"

// Pod is what decides about a Pod.
type Pod struct {
	Namespace string `json:"namespace"`
	// App and Component are the labels app.kubernetes.io/name and app.kubernetes.io/component.
	App       string `json:"app,omitempty"`
	Component string `json:"component,omitempty"`
	// DeckhouseApp is the label app.
	DeckhouseApp string `json:"deckhouseApp,omitempty"`
	// Sidecar is true when the Pod has one.
	Sidecar bool `json:"sidecar,omitempty"`
	// IncludeInboundPorts is the annotation traffic.sidecar.istio.io/includeInboundPorts; nil without one.
	IncludeInboundPorts *string `json:"includeInboundPorts,omitempty"`
	// InterceptionMode is the annotation sidecar.istio.io/interceptionMode.
	InterceptionMode string `json:"interceptionMode,omitempty"`
	// Finished Pods receive no traffic.
	Finished bool `json:"finished,omitempty"`
}

// known controllers, by the label app.kubernetes.io/name of their own charts,
// and which of their components receive users' traffic: all of them unless listed.
var known = map[string][]string{
	"ingress-nginx":      {"", "controller"},
	"nginx-ingress":      nil,
	"traefik":            nil,
	"haproxy-ingress":    nil,
	"kubernetes-ingress": nil,
	"kong":               nil,
	"contour":            {"envoy"},
	"apisix":             nil,
	"emissary-ingress":   nil,
}

const (
	deckhouseNamespace = "d8-ingress-nginx"
	deckhouseApp       = "controller"
	noInterception     = "NONE"
)

// Name of the ingress controller that pod is; "" when it is none.
func Name(pod Pod) string {
	if pod.Namespace == deckhouseNamespace && pod.DeckhouseApp == deckhouseApp {
		return "ingress-nginx"
	}
	components, ok := known[pod.App]
	if !ok || components != nil && !slices.Contains(components, pod.Component) {
		return ""
	}
	return pod.App
}

// Intercepts is true when the sidecar of pod intercepts users' requests: unless
// the Pod excludes them by an empty list of ports.
func Intercepts(pod Pod) bool {
	if pod.InterceptionMode == noInterception {
		return false
	}
	return pod.IncludeInboundPorts == nil || *pod.IncludeInboundPorts != ""
}

// Controller is an ingress controller with sidecars.
type Controller struct {
	Namespace, Name string
}

// Count of a controller's Pods with a sidecar.
type Count struct {
	// Direct Pods get users' traffic without the sidecar.
	Direct int
	// Intercepted Pods get it through their sidecar.
	Intercepted int
}

// InMesh counts the Pods with a sidecar of every ingress controller.
func InMesh(pods []Pod) map[Controller]Count {
	counts := map[Controller]Count{}
	for _, pod := range pods {
		name := Name(pod)
		if name == "" || !pod.Sidecar || pod.Finished {
			continue
		}
		controller := Controller{pod.Namespace, name}
		count := counts[controller]
		if Intercepts(pod) {
			count.Intercepted++
		} else {
			count.Direct++
		}
		counts[controller] = count
	}
	return counts
}
