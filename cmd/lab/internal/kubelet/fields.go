package kubelet

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
)

// podField is the value of a downward API field. Addresses are the real ones:
// what a process is told to listen on must be what it can bind.
func podField(pod *corev1.Pod, address podnet.Address, path string) (string, error) {
	if name, key, ok := subscript(path); ok {
		switch name {
		case "metadata.labels":
			return pod.Labels[key], nil
		case "metadata.annotations":
			return pod.Annotations[key], nil
		}
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "metadata.labels":
		return quotedMap(pod.Labels), nil
	case "metadata.annotations":
		return quotedMap(pod.Annotations), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs":
		return address.Real.String(), nil
	case "status.hostIP", "status.hostIPs":
		return address.Real.String(), nil
	}
	return "", fmt.Errorf("field %q of a Pod is not known", path)
}

// subscript splits metadata.labels['key'] into its two parts.
func subscript(path string) (name, key string, ok bool) {
	name, rest, ok := strings.Cut(path, "['")
	if !ok {
		return "", "", false
	}
	return name, strings.TrimSuffix(rest, "']"), strings.HasSuffix(rest, "']")
}

// quotedMap is the downward API's form of labels: sorted lines of key="value".
func quotedMap(values map[string]string) string {
	var lines []string
	for key, value := range values {
		lines = append(lines, key+"="+strconv.Quote(value))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// containerResource is the value of a resourceFieldRef, rounded up to its
// divisor. A limit that is not set is what the node has, as in Kubernetes.
func containerResource(container *corev1.Container, selector *corev1.ResourceFieldSelector) (string, error) {
	kind, name, ok := strings.Cut(selector.Resource, ".")
	list := container.Resources.Requests
	if kind == "limits" {
		list = container.Resources.Limits
	}
	if !ok || (kind != "limits" && kind != "requests") {
		return "", fmt.Errorf("resource %q is not limits.<name> or requests.<name>", selector.Resource)
	}
	quantity, set := list[corev1.ResourceName(name)]
	if !set {
		if kind == "requests" {
			return "0", nil
		}
		if quantity, set = nodeCapacity[corev1.ResourceName(name)]; !set {
			return "", fmt.Errorf("resource %q is not one the node has", selector.Resource)
		}
	}
	divisor := selector.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	value, unit := quantity.MilliValue(), divisor.MilliValue()
	return strconv.FormatInt((value+unit-1)/unit, 10), nil
}
