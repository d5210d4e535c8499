package rendertest

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	networkv1 "k8s.io/api/networking/v1"
)

func TestNetworkPoliciesOfExporterAndWatcher(t *testing.T) {
	m := load(t)
	apiServerAt := func(ports ...any) func(Values) {
		return func(v Values) { v.Set(ports, "istio", "internal", "apiServerPorts") }
	}
	for name, test := range map[string]struct {
		component string
		change    func(Values)
		// in and out are ports; nil out is no limit.
		in, out []int32
	}{
		"the exporter answers, and asks the API server only":             {"metadata-exporter", nil, []int32{8443, 8080}, []int32{6443, 443}},
		"of which it uses the Service where both have the same port":     {"metadata-exporter", apiServerAt(443), []int32{8443, 8080}, []int32{443}},
		"the exporter is not cut off while the servers' port is unknown": {"metadata-exporter", apiServerAt(), []int32{8443, 8080}, nil},
		"nobody connects to the watcher but for its metrics":             {"metadata-watcher", nil, []int32{8080}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			objects := m.render(t, federation, test.change)
			spec := mustDecode[*networkv1.NetworkPolicy](t, objects, "NetworkPolicy/"+test.component).Spec
			pods := mustDecode[*appsv1.Deployment](t, objects, "Deployment/"+test.component).Spec.Template
			for key, value := range spec.PodSelector.MatchLabels {
				if pods.Labels[key] != value {
					t.Errorf("the policy selects %s=%s, which the Pods do not have: %v", key, value, pods.Labels)
				}
			}
			if !slices.Contains(spec.PolicyTypes, networkv1.PolicyTypeIngress) || len(spec.Ingress) != 1 || !slices.Equal(ports(spec.Ingress[0].Ports), test.in) {
				t.Errorf("what comes in is limited to %+v, want ports %v", spec.Ingress, test.in)
			}
			limited := slices.Contains(spec.PolicyTypes, networkv1.PolicyTypeEgress)
			if limited != (test.out != nil) {
				t.Fatalf("what goes out is limited: %v, want %v", limited, test.out)
			}
			if limited && !slices.Equal(ports(spec.Egress[0].Ports), test.out) {
				t.Errorf("what goes out is limited to %+v, want ports %v", spec.Egress, test.out)
			}
		})
	}
}

func ports(of []networkv1.NetworkPolicyPort) []int32 {
	var numbers []int32
	for _, port := range of {
		numbers = append(numbers, port.Port.IntVal)
	}
	return numbers
}
