//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// initContainer redirects a Pod's traffic to its sidecar.
const initContainer = "istio-init"

// sidecarIn is the proxy's container of a Pod, nil when the Pod is bare. Istio
// runs it as an init container where Kubernetes can keep one running.
func sidecarIn(pod *corev1.Pod) *corev1.Container {
	return container(pod, proxyContainer)
}

func container(pod *corev1.Pod, name string) *corev1.Container {
	all := slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers)
	if i := slices.IndexFunc(all, func(c corev1.Container) bool { return c.Name == name }); i >= 0 {
		return &all[i]
	}
	return nil
}

// revisionIn is the revision whose sidecar the Pod got, "" when it is bare.
func revisionIn(pod *corev1.Pod) (string, error) {
	if sidecarIn(pod) == nil {
		return "", nil
	}
	var status struct {
		Revision string `json:"revision"`
	}
	if err := json.Unmarshal([]byte(pod.Annotations["sidecar.istio.io/status"]), &status); err != nil {
		return "", fmt.Errorf("read annotation sidecar.istio.io/status: %w", err)
	}
	return status.Revision, nil
}

// awaitRevision waits until the Pod would get the sidecar of the revision, "" for none, and returns it as it would be.
func (c *cluster) awaitRevision(t *testing.T, pod *corev1.Pod, revision string) *corev1.Pod {
	t.Helper()
	var admitted *corev1.Pod
	eventually(t, prompt, fmt.Sprintf("Pod %s in namespace %s gets the sidecar of revision %q", pod.Name, pod.Namespace, revision), func() string {
		var err error
		if admitted, err = c.admit(pod); err != nil {
			return err.Error()
		}
		return want(revisionIn(admitted))(revision)
	})
	return admitted
}

// gatewayImage is the image of the module's own proxies, which run the same version as the applications'.
func (c *cluster) gatewayImage(t *testing.T) string {
	t.Helper()
	gateway, err := c.typed.AppsV1().DaemonSets(moduleNamespace).Get(context.Background(), "ingressgateway", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, container := range gateway.Spec.Template.Spec.Containers {
		if container.Name == proxyContainer {
			return container.Image
		}
	}
	t.Fatalf("the gateway has no container %s", proxyContainer)
	return ""
}

func TestAPodGetsASidecarWhereLabelsSaySo(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	revision := defaultIstio().Revision()
	inject := func(value string) map[string]string { return map[string]string{"sidecar.istio.io/inject": value} }
	for name, test := range map[string]struct {
		namespace, pod map[string]string
		revision       string
	}{
		"in a namespace of the mesh":                            {inMesh, nil, revision},
		"in a namespace of a definite revision":                 {map[string]string{"istio.io/rev": revision}, nil, revision},
		"in a namespace of the default revision":                {map[string]string{"istio.io/rev": "default"}, nil, revision},
		"in a namespace without labels, when it asks for it":    {nil, inject("true"), revision},
		"in a namespace without labels, of a definite revision": {nil, map[string]string{"istio.io/rev": revision}, revision},
		"but not in a namespace without labels":                 {nil, nil, ""},
		"but not when it opts out":                              {inMesh, inject("false"), ""},
		"but not when it opts out of a definite revision":       {map[string]string{"istio.io/rev": revision}, inject("false"), ""},
		"but not where the namespace opts out":                  {map[string]string{"istio-injection": "disabled"}, inject("true"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := suite.a.labelled(t, test.namespace)
			admitted := suite.a.awaitRevision(t, newPod(namespace, "app", test.pod, nil), test.revision)
			if test.revision == "" {
				return
			}
			if got, want := sidecarIn(admitted).Image, suite.a.gatewayImage(t); got != want {
				t.Errorf("its image is %s, the gateway's %s", got, want)
			}
			if mode := admitted.Labels["security.istio.io/tlsMode"]; mode != "istio" {
				t.Errorf("others would not speak mutual TLS to it: its label security.istio.io/tlsMode is %q", mode)
			}
		})
	}
}

// interception is what of a Pod's traffic goes through its sidecar, in the
// flags of pilot-agent istio-iptables, which sets it up: sorted lists.
type interception struct {
	inboundPorts, excludedInboundPorts  string
	outboundIPs, excludedOutboundIPs    string
	excludedOutboundPorts, outboundPort string
}

func interceptionIn(pod *corev1.Pod) (interception, error) {
	init := container(pod, initContainer)
	if init == nil {
		return interception{}, fmt.Errorf("the Pod has no container %s", initContainer)
	}
	flag := func(name string) string {
		i := slices.Index(init.Args, name)
		if i < 0 || i+1 >= len(init.Args) {
			return ""
		}
		list := strings.Split(init.Args[i+1], ",")
		slices.Sort(list)
		return strings.Join(list, ",")
	}
	return interception{
		inboundPorts: flag("-b"), excludedInboundPorts: flag("-d"),
		outboundIPs: flag("-i"), excludedOutboundIPs: flag("-x"),
		excludedOutboundPorts: flag("-o"), outboundPort: flag("-p"),
	}, nil
}

const (
	// ownPorts are those of the sidecar itself, which it must not intercept.
	ownPorts = "15020,15021,15090"
	// sidecarPort is where outgoing traffic is redirected to.
	sidecarPort = "15001"
)

// unlessSettingsSayElse is what sidecars intercept by default.
var unlessSettingsSayElse = interception{
	inboundPorts: "*", excludedInboundPorts: ownPorts, outboundIPs: "0.0.0.0/0,::/0", outboundPort: sidecarPort,
}

func TestWhatASidecarIntercepts(t *testing.T) {
	suite.a.awaitMesh(t, defaultIstio())
	t.Run("is all, unless something else is said", func(t *testing.T) {
		namespace := suite.a.labelled(t, inMesh)
		admitted := suite.a.awaitRevision(t, newPod(namespace, "app", nil, nil), defaultIstio().Revision())
		if differs := want(interceptionIn(admitted))(unlessSettingsSayElse); differs != "" {
			t.Error(differs)
		}
	})
	t.Run("is outgoing traffic only in an ingress controller prepared for it", func(t *testing.T) {
		namespace := suite.a.namespace(t)
		controller := newPod(namespace, "controller", map[string]string{"sidecar.istio.io/inject": "true"}, map[string]string{
			"traffic.sidecar.istio.io/includeInboundPorts":     "",
			"traffic.sidecar.istio.io/includeOutboundIPRanges": "10.100.0.0/16,10.150.0.0/16",
		})
		admitted := suite.a.awaitRevision(t, controller, defaultIstio().Revision())
		if differs := want(interceptionIn(admitted))(interception{
			excludedInboundPorts: ownPorts, outboundIPs: "10.100.0.0/16,10.150.0.0/16", outboundPort: sidecarPort,
		}); differs != "" {
			t.Error(differs)
		}
	})
	t.Run("is what the settings say", func(t *testing.T) {
		namespace := suite.a.labelled(t, inMesh)
		follow := func(wanted interception) {
			eventually(t, prompt, "new Pods follow the settings", func() string {
				admitted, err := suite.a.admit(newPod(namespace, "app", nil, nil))
				if err != nil {
					return err.Error()
				}
				return want(interceptionIn(admitted))(wanted)
			})
		}
		// A Pod of the next test that is injected before the settings are back bypasses its sidecar for as long as it runs.
		t.Cleanup(func() { follow(unlessSettingsSayElse) })
		suite.a.reconfigure(t, map[string]any{"sidecar": map[string]any{
			"includeOutboundIPRanges": []any{"10.0.0.0/8", "172.16.0.0/12"}, "excludeOutboundIPRanges": []any{"10.1.0.0/16"},
			"excludeInboundPorts": []any{"9100"}, "excludeOutboundPorts": []any{"5432", "6379"},
		}})
		follow(interception{
			inboundPorts: "*", excludedInboundPorts: ownPorts + ",9100", outboundIPs: "10.0.0.0/8,172.16.0.0/12",
			excludedOutboundIPs: "10.1.0.0/16", excludedOutboundPorts: "5432,6379", outboundPort: sidecarPort,
		})
	})
}
