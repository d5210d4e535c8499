//go:build e2e

package e2e

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// ingressPage is the page about ingress controllers, whose YAML the test applies.
const ingressPage = "INGRESS_CONTROLLERS.md"

// userHost is the site of the page's Ingress, plainHost that of one without its annotations.
const (
	userHost  = "shop.example.com"
	plainHost = "plain.example.com"
)

// road of users' requests: an ingress controller with a sidecar, application foo behind it, and bar, which foo calls.
// foo and bar accept mutual TLS only.
type road struct {
	*side
	namespace  string
	foo, bar   *insider
	controller *insider
	address    string
	fooHost    string
}

// TestTrafficOfUsersEntersByAnIngressController with a sidecar for what it sends, and with the annotations of Ingresses that
// docs/INGRESS_CONTROLLERS.md explains.
func TestTrafficOfUsersEntersByAnIngressController(t *testing.T) {
	t.Parallel()
	f := trafficOf(t)
	r := f.buildRoad(t)
	fooIdentity, barIdentity := r.spiffe(t, r.namespace, "foo"), r.spiffe(t, r.namespace, "default")
	controllerIdentity := r.spiffe(t, r.controller.Namespace, "default")

	var got answer
	var user net.Addr
	eventually(t, scheduled, "a user is answered by foo, for which bar was asked by its short name", func() (missing string) {
		if got, user, missing = r.ask(userHost); missing != "" {
			return missing
		}
		return between(fooIdentity, barIdentity, "bar")(got)
	})
	if caller, server := proven(got.header.Get(frontCertificate)); caller != controllerIdentity || server != fooIdentity {
		t.Errorf("foo is asked by %q and is %q, want %q and %q", caller, server, controllerIdentity, fooIdentity)
	}
	if host := got.header.Get(frontHost); host != r.fooHost {
		t.Errorf("foo is asked for host %s, not %s", host, r.fooHost)
	}
	address, _, _ := net.SplitHostPort(user.String())
	if forwarded := got.header.Get(frontForwarded); forwarded != address {
		t.Errorf("the user with address %s is %s to foo: is what the controller receives intercepted?", address, forwarded)
	}
	t.Run("rules for the Service hold for users", func(t *testing.T) { f.rulesHoldForUsers(t, r) })
	t.Run("policies see the controller", func(t *testing.T) { f.policiesSeeTheController(t, r, controllerIdentity) })
	t.Run("without the annotations requests bypass the mesh", func(t *testing.T) {
		eventually(t, scheduled, "the controller sends plain text to the Pod, which is rejected", func() string {
			got, _, _ := r.ask(plainHost)
			return unless(got.status == http.StatusBadGateway, "it is %s", got)
		})
	})
}

// ask a site as a user, from outside of the cluster. user is the address that the controller sees.
func (r *road) ask(host string) (got answer, user net.Addr, missing string) {
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		connection, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			user = connection.LocalAddr()
		}
		return connection, err
	}}
	defer transport.CloseIdleConnections()
	got, err := request{url: "http://" + r.address + "/", headers: []string{"Host: " + host}}.through(transport)
	if err != nil {
		return got, user, err.Error()
	}
	return got, user, ""
}

func (f *traffic) rulesHoldForUsers(t *testing.T, r *road) {
	t.Helper()
	f.applyYAML(t, r.side, strings.NewReplacer("NAMESPACE", r.namespace, "HOST", r.fooHost).Replace(`apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: foo, namespace: NAMESPACE}
spec:
  hosts: [HOST]
  http: [{headers: {response: {set: {road: mesh}}}, route: [{destination: {host: HOST}}]}]`))
	eventually(t, scheduled, "the VirtualService of foo holds", func() string {
		got, _, missing := r.ask(userHost)
		if missing != "" {
			return missing
		}
		return unless(got.header.Get("road") == "mesh", "it is %s with headers %v", got, got.header)
	})
}

func (f *traffic) policiesSeeTheController(t *testing.T, r *road, controller string) {
	t.Helper()
	f.applyYAML(t, r.side, strings.NewReplacer("NAMESPACE", r.namespace, "PRINCIPAL", strings.TrimPrefix(controller, "spiffe://")).Replace(`apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: users, namespace: NAMESPACE}
spec:
  selector: {matchLabels: {app: foo}}
  rules: [{from: [{source: {principals: [PRINCIPAL]}}]}]`))
	eventually(t, scheduled, "the controller alone may call foo", func() string {
		if got, err := r.bar.get("http://" + r.fooHost + "/"); err != nil || got.status != http.StatusForbidden {
			return "bar: " + got.String() + because(err)
		}
		got, _, missing := r.ask(userHost)
		if missing != "" {
			return missing
		}
		return httpStatus(http.StatusOK)(got)
	})
}

// buildRoad starts all of it, and waits until it is ready.
func (f *traffic) buildRoad(t *testing.T) *road {
	t.Helper()
	r := &road{side: f.Here, namespace: f.Here.labelled(t, inMesh)}
	r.fooHost = r.hostname(t, r.namespace, "foo")
	f.applyYAML(t, r.side, strings.ReplaceAll(`apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: NAMESPACE}
spec: {mtls: {mode: STRICT}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: foo, namespace: NAMESPACE}
---
apiVersion: v1
kind: Service
metadata: {name: foo, namespace: NAMESPACE}
spec: {selector: {app: foo}, ports: [{name: http-web, port: 80, targetPort: 8191}]}
---
apiVersion: v1
kind: Service
metadata: {name: bar, namespace: NAMESPACE}
spec: {selector: {app: bar}, ports: [{name: http-web, port: 80, targetPort: 8080}]}`, "NAMESPACE", r.namespace))
	foo, bar := newPod(r.namespace, "foo", nil, nil), newPod(r.namespace, "bar", nil, nil)
	foo.Spec.ServiceAccountName = "foo"
	r.begin(t, foo)
	r.begin(t, bar)
	controller := f.beginController(t, r)
	r.foo, r.bar = r.enterPod(t, r.awaitReadyPod(t, foo)), r.enterPod(t, r.awaitReadyPod(t, bar))
	// The search list of its Pod makes a complete name of the short one for the resolver; the request has the short one.
	r.foo.runFront(t, "http://"+r.hostname(t, r.namespace, "bar")+"/", "Host: bar")
	r.controller = &insider{Pod: r.awaitReadyPod(t, controller), of: r.cluster}
	return r
}

// beginController has the lab's ingress controller start a second time, as a part of the mesh, with a class of its own
// and two Ingresses: the page's, and one without annotations.
func (f *traffic) beginController(t *testing.T, r *road) *corev1.Pod {
	t.Helper()
	ctx := context.Background()
	namespace := r.cluster.namespace(t)
	class := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: namespace}, Spec: networkingv1.IngressClassSpec{Controller: "mesh.test/" + namespace}}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: namespace}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "lab:traefik"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "default"}},
	}
	t.Cleanup(func() {
		_ = r.typed.NetworkingV1().IngressClasses().Delete(ctx, class.Name, metav1.DeleteOptions{})
		_ = r.typed.RbacV1().ClusterRoleBindings().Delete(ctx, binding.Name, metav1.DeleteOptions{})
	})
	if _, err := r.typed.NetworkingV1().IngressClasses().Create(ctx, class, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.typed.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := r.controllerPod(t, namespace, class.Spec.Controller)
	r.begin(t, pod)
	r.address = r.exposeController(t, namespace)
	f.addIngresses(t, r, class.Name)
	return pod
}

// controllerPod is the lab's controller with what the page adds to its Pods.
func (r *road) controllerPod(t *testing.T, namespace, class string) *corev1.Pod {
	t.Helper()
	deployment, err := r.typed.AppsV1().Deployments(ingressController.namespace).Get(context.Background(), ingressController.name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	services, err := r.typed.CoreV1().Services("default").Get(context.Background(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	page := strings.ReplaceAll(documented(t, ingressPage, "includeInboundPorts"), "10.222.0.0/16", strings.TrimSuffix(services.Spec.ClusterIP, ".1")+".0/16")
	if err := yaml.Unmarshal([]byte(page), pod); err != nil {
		t.Fatal(err)
	}
	pod.Namespace, pod.Name = namespace, "controller"
	pod.Labels["app"] = "controller"
	container := deployment.Spec.Template.Spec.Containers[0]
	var args []string
	for _, arg := range container.Args {
		if !strings.HasPrefix(arg, "--providers.file") && !strings.Contains(arg, ".publishService=") {
			args = append(args, arg)
		}
	}
	args = append(args, "--providers.kubernetesIngressNGINX.controllerClass="+class)
	container.Args = args
	container.VolumeMounts = nil
	pod.Spec = corev1.PodSpec{Containers: []corev1.Container{container}}
	return pod
}

// exposeController by a load balancer that retains users' addresses.
func (r *road) exposeController(t *testing.T, namespace string) (address string) {
	t.Helper()
	services := r.typed.CoreV1().Services(namespace)
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "controller"}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal,
		Selector: map[string]string{"app": "controller"},
		Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}},
	}}
	if _, err := services.Create(context.Background(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, prompt, "the controller has an address", func() string {
		now, err := services.Get(context.Background(), service.Name, metav1.GetOptions{})
		if err != nil || len(now.Status.LoadBalancer.Ingress) != 1 {
			return "it has none" + because(err)
		}
		address = now.Status.LoadBalancer.Ingress[0].IP
		return ""
	})
	return address
}

// addIngresses for foo: the page's, and one without its annotations.
func (f *traffic) addIngresses(t *testing.T, r *road, class string) {
	t.Helper()
	page := strings.NewReplacer("api.shop.svc.cluster.local", r.fooHost, "name: api,", "name: foo,").Replace(documented(t, ingressPage, "kind: Ingress"))
	for host, annotated := range map[string]bool{userHost: true, plainHost: false} {
		ingress := f.objects(t, r.side, page)[0]
		ingress.SetNamespace(r.namespace)
		ingress.SetName(strings.ReplaceAll(host, ".", "-"))
		if !annotated {
			ingress.SetAnnotations(nil)
		}
		rules, _, _ := unstructured.NestedSlice(ingress.Object, "spec", "rules")
		rules[0].(map[string]any)["host"] = host
		_ = unstructured.SetNestedSlice(ingress.Object, rules, "spec", "rules")
		_ = unstructured.SetNestedField(ingress.Object, class, "spec", "ingressClassName")
		if _, err := r.resource(t, ingress).Create(context.Background(), ingress, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}
