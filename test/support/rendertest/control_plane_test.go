package rendertest

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

func istiod(t *testing.T, objects Objects, revision string) *appsv1.Deployment {
	t.Helper()
	return mustDecode[*appsv1.Deployment](t, objects, "Deployment/istiod-"+revision)
}

func TestEachVersionRunsItsOwnImages(t *testing.T) {
	m := load(t)
	objects := m.render(t, "{}", nil)
	seen := map[string]string{}
	for _, revision := range revisions {
		pilot := istiod(t, objects, revision).Spec.Template.Spec.Containers[0].Image
		for _, image := range []string{pilot, m.proxyImage(t, objects, revision)} {
			if !strings.Contains(image, "@sha256:") {
				t.Errorf("%s runs %s, which is not by digest", revision, image)
			}
			if other, twice := seen[image]; twice {
				t.Errorf("%s and %s run the same image %s", revision, other, image)
			}
			seen[image] = revision
		}
	}
}

func TestReplicasOfIstiod(t *testing.T) {
	const hpa = "controlPlane: {replicasManagement: {mode: HPA, hpa: {minReplicas: 2, maxReplicas: 5, metrics: [{type: CPU, targetAverageUtilization: 70}]}}}"
	m := load(t)
	for _, test := range []struct {
		name, settings string
		change         func(Values)
		replicas       string
		apart          string // how strictly replicas keep to different nodes
	}{
		{"one by default", "{}", nil, "1", ""},
		{"two where the control plane is highly available", "{}", highlyAvailable, "2", "required"},
		{"as many as the settings say", "controlPlane: {replicasManagement: {mode: Static, static: {replicas: 3}}}", nil, "3", "preferred"},
		{"left to the autoscaler", hpa, nil, "unset", "preferred"},
	} {
		t.Run(test.name, func(t *testing.T) {
			objects := m.render(t, test.settings, test.change)
			for _, revision := range revisions {
				spec := istiod(t, objects, revision).Spec
				replicas := "unset"
				if spec.Replicas != nil {
					replicas = strconv.Itoa(int(*spec.Replicas))
				}
				if replicas != test.replicas {
					t.Errorf("%s has %s replicas, want %s", revision, replicas, test.replicas)
				}
				apart := ""
				if affinity := spec.Template.Spec.Affinity; affinity != nil {
					for _, term := range affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
						apart = "preferred"
						checkSelectsOwnPods(t, term.PodAffinityTerm.LabelSelector.MatchLabels, spec)
					}
					for _, term := range affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution {
						apart = "required"
						checkSelectsOwnPods(t, term.LabelSelector.MatchLabels, spec)
					}
				}
				if apart != test.apart {
					t.Errorf("different nodes are %q for replicas of %s, want %q", apart, revision, test.apart)
				}
			}
		})
	}
	t.Run("the autoscaler does as the settings say", func(t *testing.T) {
		scaler := mustDecode[*autoscalingv2.HorizontalPodAutoscaler](t, m.render(t, hpa, nil), "HorizontalPodAutoscaler/istiod-v1x31").Spec
		if *scaler.MinReplicas != 2 || scaler.MaxReplicas != 5 || scaler.ScaleTargetRef.Name != "istiod-v1x31" ||
			*scaler.Metrics[0].Resource.Target.AverageUtilization != 70 || scaler.Metrics[0].Resource.Name != corev1.ResourceCPU {
			t.Errorf("it is %+v", scaler)
		}
	})
}

// checkSelectsOwnPods: a revision that kept away from another's Pods would find no node in a small cluster.
func checkSelectsOwnPods(t *testing.T, selector map[string]string, spec appsv1.DeploymentSpec) {
	t.Helper()
	if !reflect.DeepEqual(selector, spec.Selector.MatchLabels) {
		t.Errorf("Pods keep away from %v, want from %v", selector, spec.Selector.MatchLabels)
	}
}

func TestResourcesOfIstiod(t *testing.T) {
	m := load(t)
	for _, test := range []struct{ name, settings, wanted, environment string }{
		{"the least values by default", "{}", "cpu 50m, memory 256Mi; limits cpu 0, memory 0", ""},
		{"those of the settings", "controlPlane: {resourcesManagement: {vpa: {cpu: {min: 100m}, memory: {min: 300Mi}}}}", "cpu 100m, memory 300Mi; limits cpu 0, memory 0", ""},
		{"static ones without limits", "controlPlane: {resourcesManagement: {mode: Static}}", "cpu 500m, memory 2Gi; limits cpu 0, memory 0", ""},
		{
			"static ones with limits, which Go gets, too",
			"controlPlane: {resourcesManagement: {mode: Static, static: {requests: {cpu: '1'}, limits: {cpu: '2', memory: 3Gi}}}}",
			"cpu 1, memory 2Gi; limits cpu 2, memory 3Gi", "GOMAXPROCS GOMEMLIMIT",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			container := istiod(t, m.render(t, test.settings, nil), "v1x30").Spec.Template.Spec.Containers[0]
			r := container.Resources
			got := fmt.Sprintf("cpu %s, memory %s; limits cpu %s, memory %s", r.Requests.Cpu(), r.Requests.Memory(), r.Limits.Cpu(), r.Limits.Memory())
			if got != test.wanted {
				t.Errorf("requests are %s, want %s", got, test.wanted)
			}
			var environment []string
			for _, variable := range container.Env {
				if strings.HasPrefix(variable.Name, "GOM") {
					environment = append(environment, variable.Name)
				}
			}
			if got := strings.Join(environment, " "); got != test.environment {
				t.Errorf("Go gets %q, want %q", got, test.environment)
			}
		})
	}
}

func TestVerticalAutoscalerOfIstiod(t *testing.T) {
	m := load(t)
	for settings, wanted := range map[string]string{
		"{}": "Initial",
		"controlPlane: {resourcesManagement: {vpa: {mode: Auto}}}":      "Auto",
		"controlPlane: {resourcesManagement: {mode: Static}}":           "Off",
		"controlPlane: {resourcesManagement: {vpa: {cpu: {max: '9'}}}}": "Initial up to 9",
	} {
		objects := m.render(t, settings, func(v Values) { v.Set([]any{"vertical-pod-autoscaler"}, "global", "enabledModules") },
			"autoscaling.k8s.io/v1/VerticalPodAutoscaler")
		rendered := fmt.Sprint(objects["VerticalPodAutoscaler/istiod-v1x31"].Object["spec"])
		mode, most, _ := strings.Cut(wanted, " up to ")
		if !strings.Contains(rendered, "updateMode:"+mode) || !strings.Contains(rendered, "cpu:"+most) && most != "" {
			t.Errorf("with %s the autoscaler is %s, want %s", settings, rendered, wanted)
		}
	}
}

func TestPlacementOfIstiod(t *testing.T) {
	m := load(t)
	const modules = "nodeSelector: {whose: module}\ntolerations: [{key: module, operator: Exists}]\n"
	const own = "controlPlane: {nodeSelector: {whose: istiod}, tolerations: [{key: istiod, operator: Exists}]}"
	systemNodes := func(v Values) { v.Set(2, "global", "discovery", "d8SpecificNodeCountByRole", "system") }
	for _, test := range []struct {
		name, settings string
		change         func(Values)
		selector       map[string]string
		toleration     string
	}{
		{"anywhere, unless there are nodes for it", "{}", nil, nil, "dedicated.deckhouse.io"},
		{"on system nodes where there are some", "{}", systemNodes, map[string]string{"node-role.deckhouse.io/system": ""}, "dedicated.deckhouse.io"},
		{"where the module's settings say", modules, systemNodes, map[string]string{"whose": "module"}, "module"},
		{"where its own settings say", modules + own, systemNodes, map[string]string{"whose": "istiod"}, "istiod"},
	} {
		t.Run(test.name, func(t *testing.T) {
			pod := istiod(t, m.render(t, test.settings, test.change), "v1x31").Spec.Template.Spec
			if !reflect.DeepEqual(pod.NodeSelector, test.selector) {
				t.Errorf("the nodes are %v, want %v", pod.NodeSelector, test.selector)
			}
			if pod.Tolerations[0].Key != test.toleration {
				t.Errorf("tolerations are %v, want %s first", pod.Tolerations, test.toleration)
			}
		})
	}
}

// TestWhatRestartsIstiod: what istiod watches must not restart it, what it reads at its start must.
func TestWhatRestartsIstiod(t *testing.T) {
	m := load(t)
	template := func(settings string, change func(Values)) corev1.PodTemplateSpec {
		return istiod(t, m.render(t, settings, change), "v1x31").Spec.Template
	}
	before := template("{}", nil)
	for name, test := range map[string]struct {
		settings string
		change   func(Values)
		restarts bool
	}{
		"settings of the mesh":          {"outboundTrafficPolicyMode: RegistryOnly\ndataPlane: {proxyConfig: {idleTimeout: 5m}}", nil, false},
		"settings of the sidecars":      {"sidecar: {excludeOutboundPorts: ['25']}", nil, false},
		"tracing":                       {"tracing: {enabled: true, collector: {zipkin: {address: 'zipkin.tracing.svc:9411'}}}", nil, false},
		"another mode of TLS":           {"tlsMode: Mutual", nil, false},
		"the default revision":          {"{}", func(v Values) { v.Set("v1x30", "istio", "internal", "defaultRevision") }, false},
		"a root for the keys of tokens": {"jwksResolverAdditionalRootCA: " + certificate, nil, true},
		"HTTP/1.0":                      {"dataPlane: {enableHTTP10: true}", nil, true},
		"another CA":                    {"{}", func(v Values) { v.Set("another", "istio", "internal", "ca", "cert") }, true},
	} {
		t.Run(name, func(t *testing.T) {
			if restarts := !reflect.DeepEqual(before, template(test.settings, test.change)); restarts != test.restarts {
				t.Errorf("restarts istiod: %v, want %v", restarts, test.restarts)
			}
		})
	}
}

func TestAdditionalRootOfIstiod(t *testing.T) {
	objects := load(t).render(t, "jwksResolverAdditionalRootCA: "+certificate, nil)
	for _, revision := range revisions {
		data := mustDecode[*corev1.ConfigMap](t, objects, "ConfigMap/pilot-jwks-extra-cacerts-"+revision).Data
		if !strings.HasPrefix(data["extra.pem"], "-----BEGIN CERTIFICATE-----\nMII\n") {
			t.Errorf("extra.pem is %q", data["extra.pem"])
		}
		container := istiod(t, objects, revision).Spec.Template.Spec.Containers[0]
		if !slices.ContainsFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == "/cacerts" && m.Name == "extracacerts" }) {
			t.Errorf("istiod of %s does not see it", revision)
		}
	}
}

func TestHTTP10(t *testing.T) {
	m := load(t)
	for settings, wanted := range map[string]bool{"{}": false, "dataPlane: {enableHTTP10: true}": true} {
		env := istiod(t, m.render(t, settings, nil), "v1x31").Spec.Template.Spec.Containers[0].Env
		if got := slices.Contains(env, corev1.EnvVar{Name: "PILOT_HTTP10", Value: "true"}); got != wanted {
			t.Errorf("with %s HTTP/1.0 is allowed: %v", settings, got)
		}
	}
}

// TestOnlyIstiodGetsItsRights: a binding for another version's ServiceAccount would outlive that version.
func TestOnlyIstiodGetsItsRights(t *testing.T) {
	objects := load(t).render(t, "{}", nil)
	for _, revision := range revisions {
		cluster := mustDecode[*rbacv1.ClusterRoleBinding](t, objects, "ClusterRoleBinding/d8:istio:istiod-"+revision)
		inside := mustDecode[*rbacv1.RoleBinding](t, objects, "RoleBinding/istiod-"+revision)
		wanted := []rbacv1.Subject{{Kind: "ServiceAccount", Name: "istiod-" + revision, Namespace: "d8-istio"}}
		if !reflect.DeepEqual(cluster.Subjects, wanted) || !reflect.DeepEqual(inside.Subjects, wanted) {
			t.Errorf("rights of %s are those of %v and %v", revision, cluster.Subjects, inside.Subjects)
		}
		for _, line := range rights("cluster", mustDecode[*rbacv1.ClusterRole](t, objects, "ClusterRole/d8:istio:istiod-"+revision).Rules) {
			resource, verbs, _ := strings.Cut(strings.TrimPrefix(line, "cluster: "), ": ")
			for _, precious := range []string{"/secrets", "/pods", "webhookconfigurations", "apps/", "rbac.authorization"} {
				if strings.Contains(resource, precious) && strings.Trim(verbs, "getlisw ach") != "" {
					t.Errorf("istiod of %s may %s %s", revision, verbs, resource)
				}
			}
		}
	}
}

func TestTheGatewayFollowsTheDefaultRevision(t *testing.T) {
	m := load(t)
	for _, test := range []struct {
		name    string
		change  func(Values)
		follows string
	}{
		{"that istiod which serves now", func(v Values) { v.Set("v1x30", "istio", "internal", "defaultRevision") }, "v1x30"},
		{"the wanted one before any was ready", func(v Values) { v.Set("", "istio", "internal", "defaultRevision") }, "v1x31"},
	} {
		t.Run(test.name, func(t *testing.T) {
			objects := m.render(t, federation, test.change)
			template := mustDecode[*appsv1.DaemonSet](t, objects, "DaemonSet/ingressgateway").Spec.Template
			container := template.Spec.Containers[0]
			if got := template.Labels["istio.io/rev"]; got != test.follows {
				t.Errorf("its revision is %s, want %s", got, test.follows)
			}
			if want := m.proxyImage(t, objects, test.follows); container.Image != want {
				t.Errorf("its image is %s, want %s", container.Image, want)
			}
			if want := (corev1.EnvVar{Name: "CA_ADDR", Value: "istiod-" + test.follows + ".d8-istio.svc:15012"}); !slices.Contains(container.Env, want) {
				t.Errorf("it does not ask %s", want.Value)
			}
		})
	}
	t.Run("nobody while no version is installed", func(t *testing.T) {
		if _, rendered := m.render(t, federation, noVersions)["DaemonSet/ingressgateway"]; rendered {
			t.Error("there is a gateway of no version")
		}
	})
}
