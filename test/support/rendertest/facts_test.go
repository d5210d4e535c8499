package rendertest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/yaml"
)

// facts are what a rendered control plane says, one line each, by category.
// Two control planes with equal facts do the same.
type facts struct {
	revision string
	lines    map[string]sets.Set[string]
}

func (f facts) add(category, format string, arguments ...any) {
	if f.lines[category] == nil {
		f.lines[category] = sets.New[string]()
	}
	line := strings.ReplaceAll(fmt.Sprintf(format, arguments...), f.revision, "<revision>")
	f.lines[category].Insert(line)
}

// factsOf reads the objects of one revision's control plane; those of other revisions are left out.
func factsOf(t *testing.T, revision string, objects []*unstructured.Unstructured) facts {
	t.Helper()
	f := facts{revision: revision, lines: map[string]sets.Set[string]{}}
	serviceAccount := "istiod-" + revision
	bound := sets.New[string]()
	for _, object := range objects {
		if kind := object.GetKind(); kind == "ClusterRoleBinding" || kind == "RoleBinding" {
			binding := convert[rbacv1.ClusterRoleBinding](t, object)
			if len(binding.Subjects) == 1 && binding.Subjects[0].Name == serviceAccount {
				bound.Insert(binding.RoleRef.Kind + "/" + binding.RoleRef.Name)
			}
		}
	}
	var targets map[string]int32
	for _, object := range objects {
		if object.GetKind() == "Deployment" && object.GetName() == "istiod-"+revision {
			targets = f.deployment(convert[appsv1.Deployment](t, object))
		}
	}
	for _, object := range objects {
		name := object.GetName()
		switch kind := object.GetKind(); {
		case kind == "ClusterRole" && bound.Has(kind+"/"+name):
			f.rights("cluster", convert[rbacv1.ClusterRole](t, object).Rules)
		case kind == "Role" && bound.Has(kind+"/"+name):
			f.rights(moduleNamespace, convert[rbacv1.Role](t, object).Rules)
		case kind == "MutatingWebhookConfiguration" && object.GetLabels()["istio.io/rev"] == revision:
			for _, webhook := range convert[admissionv1.MutatingWebhookConfiguration](t, object).Webhooks {
				where := strings.TrimSuffix(name, "-"+moduleNamespace) + " " + webhook.Name
				f.webhook(where, webhook.ClientConfig, webhook.Rules, webhook.NamespaceSelector, webhook.ObjectSelector)
				f.add("webhook", "%s failurePolicy=%s sideEffects=%s reviews=%v", where, *webhook.FailurePolicy, *webhook.SideEffects, webhook.AdmissionReviewVersions)
				f.add("webhook", "%s reinvocationPolicy=%s", where, *webhook.ReinvocationPolicy)
			}
		case kind == "ValidatingWebhookConfiguration" && object.GetLabels()["istio.io/rev"] == revision:
			for _, webhook := range convert[admissionv1.ValidatingWebhookConfiguration](t, object).Webhooks {
				where := strings.TrimSuffix(name, "-"+moduleNamespace) + " " + webhook.Name
				f.webhook(where, webhook.ClientConfig, webhook.Rules, webhook.NamespaceSelector, webhook.ObjectSelector)
				for _, condition := range webhook.MatchConditions {
					f.add("webhook", "%s if %s: %s", where, condition.Name, condition.Expression)
				}
				f.add("webhook", "%s failurePolicy=%s sideEffects=%s reviews=%v", where, *webhook.FailurePolicy, *webhook.SideEffects, webhook.AdmissionReviewVersions)
			}
		case kind == "Service" && name == "istiod-"+revision:
			service := convert[corev1.Service](t, object)
			for _, port := range service.Spec.Ports {
				target := port.TargetPort.IntVal
				switch {
				case port.TargetPort.StrVal != "":
					target = targets[port.TargetPort.StrVal]
				case target == 0:
					target = port.Port
				}
				f.add("port", "Service %s %d to %d %s", port.Name, port.Port, target, port.Protocol)
			}
			f.add("port", "Service selector %v", service.Spec.Selector)
		case kind == "ConfigMap" && name == "istio-"+revision:
			data := convert[corev1.ConfigMap](t, object).Data
			f.leaves("mesh", "", document(t, data["mesh"]))
			f.leaves("mesh", "meshNetworks", document(t, data["meshNetworks"]))
		case kind == "ConfigMap" && name == "istio-sidecar-injector-"+revision:
			data := convert[corev1.ConfigMap](t, object).Data
			f.leaves("injector values", "", document(t, data["values"]))
			f.leaves("injector config", "", document(t, data["config"]))
		}
		switch object.GetKind() {
		case "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration":
			// Compared by what they say: the names are the module's own.
		default:
			f.add("object", "%s/%s", object.GetKind(), name)
		}
	}
	return f
}

// deployment returns the numbers of the named ports.
func (f facts) deployment(deployment appsv1.Deployment) map[string]int32 {
	pod := deployment.Spec.Template.Spec
	container := pod.Containers[0]
	ports := map[string]int32{}
	for _, port := range container.Ports {
		ports[port.Name] = port.ContainerPort
		f.add("port", "container %s %d %s", port.Name, port.ContainerPort, port.Protocol)
	}
	for _, variable := range container.Env {
		switch from := variable.ValueFrom; {
		case from == nil:
			f.add("env", "%s=%s", variable.Name, variable.Value)
		case from.FieldRef != nil:
			f.add("env", "%s from %s", variable.Name, from.FieldRef.FieldPath)
		default:
			f.add("env", "%s from %s", variable.Name, from.ResourceFieldRef.Resource)
		}
	}
	f.add("argument", "%s", strings.Join(container.Args, " "))
	f.add("probe", "ready at %s %s", container.ReadinessProbe.HTTPGet.Path, resolve(ports, container.ReadinessProbe.HTTPGet.Port.String()))
	for _, mount := range container.VolumeMounts {
		i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
		f.add("mount", "%s from %s", mount.MountPath, volumeSource(pod.Volumes[i]))
	}
	f.add("pod", "container %s, ServiceAccount %s, selected by %v", container.Name, pod.ServiceAccountName, deployment.Spec.Selector.MatchLabels)
	for key, value := range deployment.Spec.Selector.MatchLabels {
		if deployment.Spec.Template.Labels[key] != value {
			f.add("pod", "does not select its own Pods: %s", key)
		}
	}
	return ports
}

func resolve(ports map[string]int32, port string) string {
	if number, named := ports[port]; named {
		return strconv.Itoa(int(number))
	}
	return port
}

func volumeSource(volume corev1.Volume) string {
	switch {
	case volume.Secret != nil:
		return fmt.Sprintf("Secret %s optional=%t", volume.Secret.SecretName, volume.Secret.Optional != nil && *volume.Secret.Optional)
	case volume.ConfigMap != nil:
		return fmt.Sprintf("ConfigMap %s optional=%t", volume.ConfigMap.Name, volume.ConfigMap.Optional != nil && *volume.ConfigMap.Optional)
	case volume.EmptyDir != nil:
		return "nothing"
	case volume.Projected != nil && volume.Projected.Sources[0].ServiceAccountToken != nil:
		return "token for " + volume.Projected.Sources[0].ServiceAccountToken.Audience
	}
	return "unknown source of " + volume.Name
}

// rights has one line for each verb on each resource.
func (f facts) rights(where string, rules []rbacv1.PolicyRule) {
	for _, rule := range rules {
		names := ""
		if len(rule.ResourceNames) > 0 {
			names = " named " + strings.Join(rule.ResourceNames, ", ")
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					f.add("right", "%s: %s %s/%s%s", where, verb, group, resource, names)
				}
			}
		}
	}
}

func (f facts) webhook(where string, client admissionv1.WebhookClientConfig, rules []admissionv1.RuleWithOperations, selectors ...*metav1.LabelSelector) {
	port := int32(443)
	if client.Service.Port != nil {
		port = *client.Service.Port
	}
	f.add("webhook", "%s calls %s/%s:%d%s", where, client.Service.Namespace, client.Service.Name, port, *client.Service.Path)
	for _, rule := range rules {
		f.add("webhook", "%s for %v of %v %v %v", where, rule.Operations, rule.APIGroups, rule.APIVersions, rule.Resources)
	}
	for i, selector := range selectors {
		f.add("webhook", "%s %s %s", where, []string{"namespaces", "objects"}[i], metav1.FormatLabelSelector(selector))
	}
}

// leaves has one line for each scalar, empty list and empty map, as which null counts. Long texts are represented by their hash.
func (f facts) leaves(category, path string, value any) {
	child := func(name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	switch value := value.(type) {
	case map[string]any:
		for name, v := range value {
			f.leaves(category, child(name), v)
		}
		if len(value) == 0 {
			f.add(category, "%s={}", path)
		}
	case []any:
		for i, v := range value {
			f.leaves(category, fmt.Sprintf("%s[%d]", path, i), v)
		}
		if len(value) == 0 {
			f.add(category, "%s=[]", path)
		}
	case string:
		if trimmed := strings.TrimSpace(value); len(trimmed) > 500 {
			value = fmt.Sprintf("text %x", sha256.Sum256([]byte(trimmed)))
		}
		f.add(category, "%s=%q", path, value)
	case nil:
		f.add(category, "%s={}", path)
	default:
		f.add(category, "%s=%v", path, value)
	}
}

func convert[T any](t *testing.T, object *unstructured.Unstructured) T {
	t.Helper()
	var typed T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &typed); err != nil {
		t.Fatalf("%s/%s: %v", object.GetKind(), object.GetName(), err)
	}
	return typed
}

// document parses YAML or JSON; numbers look the same in both.
func document(t *testing.T, text string) any {
	t.Helper()
	var parsed any
	if err := yaml.Unmarshal([]byte(text), &parsed); err != nil {
		t.Fatalf("parse a ConfigMap's document: %v\n%s", err, text)
	}
	encoded, err := json.Marshal(parsed)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(encoded, &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}
