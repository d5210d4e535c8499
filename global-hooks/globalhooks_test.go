package globalhooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/testing/helpers"
	"github.com/deckhouse/module-sdk/testing/mock"
	. "github.com/onsi/gomega"
	"github.com/tidwall/gjson"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

func run(t *testing.T, hook hookruntime.Hook, build func(*helpers.InputBuilder)) *pkg.HookInput {
	t.Helper()
	g := NewWithT(t)
	in, err := tryRun(t, hook, build)
	g.Expect(err).NotTo(HaveOccurred())
	return in
}

func tryRun(t *testing.T, hook hookruntime.Hook, build func(*helpers.InputBuilder)) (*pkg.HookInput, error) {
	t.Helper()
	builder := helpers.NewInputBuilder(t).WithValuesJSON(`{"global":{"discovery":{}}}`).WithCapturedLogger()
	build(builder)
	in := builder.Build()
	return in, hook.Run(context.Background(), in)
}

// value returns what a run leaves at path: what it set, else what was there.
// (module-sdk keeps the two apart until the run has ended.)
func value(in *pkg.HookInput, path string) gjson.Result {
	for _, patch := range in.Values.GetPatches() {
		rest, inside := strings.CutPrefix(path, strings.ReplaceAll(strings.TrimPrefix(patch.Path, "/"), "/", "."))
		if inside && rest == "" {
			return gjson.ParseBytes(patch.Value)
		}
		if inside && rest[0] == '.' {
			return gjson.GetBytes(patch.Value, rest[1:])
		}
	}
	return in.Values.Get(path)
}

func TestAllHooksAreValid(t *testing.T) {
	g := NewWithT(t)
	names := map[string]bool{}
	for _, hook := range Hooks(Options{}) {
		g.Expect(hook.Validate()).To(Succeed(), hook.Name)
		g.Expect(names).NotTo(HaveKey(hook.Name))
		names[hook.Name] = true
	}
	g.Expect(names).To(HaveLen(8))
}

func TestClusterConfiguration(t *testing.T) {
	const (
		kubeadm = `"networking:\n  dnsDomain: cluster-a.local\n  podSubnet: 10.111.0.0/16,fd00::/48\n  serviceSubnet: 10.222.0.0/16\n"`
		broken  = `"networking: ["`
		known   = `{"global":{"discovery":{"clusterDomain":"cluster-a.local"},"clusterConfiguration":{"podSubnetCIDR":"10.111.0.0/16","serviceSubnetCIDR":"10.222.0.0/16"}}}`
	)
	uuid := map[string]string{uuidKey: "11111111-2222-4333-8444-555555555555"}
	withDomain := func(domain string) map[string]string {
		return map[string]string{uuidKey: uuid[uuidKey], domainKey: domain}
	}
	cases := map[string]struct {
		stated, kubeadm, values        string
		exists                         map[string]string
		lateSnapshot                   bool
		domain, podSubnet, serviceCIDR string
		logged                         string
	}{
		"kubeadm's ConfigMap tells everything":           {kubeadm: kubeadm, domain: "cluster-a.local", podSubnet: "10.111.0.0/16,fd00::/48", serviceCIDR: "10.222.0.0/16"},
		"what is learned is stored beside the UUID":      {kubeadm: kubeadm, exists: uuid, domain: "cluster-a.local", podSubnet: "10.111.0.0/16,fd00::/48", serviceCIDR: "10.222.0.0/16"},
		"a stated domain goes before kubeadm's":          {stated: "Other.Local.", kubeadm: kubeadm, domain: "other.local", podSubnet: "10.111.0.0/16,fd00::/48", serviceCIDR: "10.222.0.0/16"},
		"a stated domain goes before the stored one":     {stated: "other.local", exists: withDomain("cluster-a.local"), values: known, domain: "other.local", podSubnet: "10.111.0.0/16", serviceCIDR: "10.222.0.0/16"},
		"without both the domain is Kubernetes' default": {domain: "cluster.local"},
		"an unreadable ConfigMap is as good as none":     {kubeadm: broken, domain: "cluster.local", logged: "parse ClusterConfiguration"},
		"a ConfigMap without a network is no obstacle":   {kubeadm: `""`, domain: "cluster.local"},
		"what is known stays when kubeadm's ConfigMap becomes unreadable": {kubeadm: broken, values: known, exists: withDomain("cluster-a.local"),
			domain: "cluster-a.local", podSubnet: "10.111.0.0/16", serviceCIDR: "10.222.0.0/16"},
		"what is known stays when kubeadm's ConfigMap goes, though it was never stored": {values: known, exists: uuid,
			domain: "cluster-a.local", podSubnet: "10.111.0.0/16", serviceCIDR: "10.222.0.0/16"},
		"a restart without kubeadm's ConfigMap does not flip the domain": {exists: withDomain("cluster-a.local"), domain: "cluster-a.local"},
		"kubeadm's change of mind is reported and not followed": {kubeadm: kubeadm, exists: withDomain("first.local"),
			domain: "first.local", podSubnet: "10.111.0.0/16,fd00::/48", serviceCIDR: "10.222.0.0/16", logged: "--cluster-domain=cluster-a.local"},
		"a stored domain counts though the snapshot did not show it yet": {kubeadm: kubeadm, exists: withDomain("first.local"), lateSnapshot: true,
			domain: "first.local", podSubnet: "10.111.0.0/16,fd00::/48", serviceCIDR: "10.222.0.0/16", logged: "--cluster-domain=cluster-a.local"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			objects := fake.NewClientBuilder().WithScheme(scheme.Scheme)
			if c.exists != nil {
				objects = objects.WithObjects(uuidConfigMap(c.exists))
			}
			cluster := k8s{objects.Build()}
			builder := helpers.NewInputBuilder(t).WithCapturedLogger().WithValuesJSON(cmp.Or(c.values, `{"global":{"discovery":{}}}`))
			container := mock.NewDependencyContainerMock(t)
			if c.lateSnapshot || c.exists[domainKey] != c.domain {
				container.GetK8sClientMock.Return(cluster, nil)
			} // else asking for a client fails the test: equal is silent
			builder.WithDependencyContainer(container)
			if c.kubeadm != "" {
				builder.WithSnapshot("kubeadm", helpers.SnapshotJSON(c.kubeadm))
			}
			if c.exists != nil && !c.lateSnapshot {
				builder.WithSnapshot("stored", helpers.SnapshotJSON(fmt.Sprintf("%q", c.exists[domainKey])))
			}
			in := builder.Build()
			g.Expect(clusterConfiguration(c.stated).Run(context.Background(), in)).To(Succeed())

			g.Expect(value(in, "global.discovery.clusterDomain").String()).To(Equal(c.domain))
			g.Expect(value(in, "global.clusterConfiguration.clusterDomain").String()).To(Equal(c.domain))
			g.Expect(value(in, "global.clusterConfiguration.podSubnetCIDR").String()).To(Equal(c.podSubnet))
			g.Expect(value(in, "global.clusterConfiguration.serviceSubnetCIDR").String()).To(Equal(c.serviceCIDR))
			if c.logged != "" {
				g.Expect(builder.LogBuffer().String()).To(ContainSubstring(c.logged))
			}
			configMap := uuidConfigMap(nil)
			g.Expect(cluster.Get(context.Background(), client.ObjectKeyFromObject(configMap), configMap)).To(Succeed())
			g.Expect(configMap.Data).To(HaveKeyWithValue(domainKey, c.domain))
			if c.exists != nil {
				g.Expect(configMap.Data).To(HaveKeyWithValue(uuidKey, uuid[uuidKey]), "the UUID is untouched")
			}
		})
	}
}

func TestASecondRunThatFindsNothingNewWritesNothing(t *testing.T) {
	g := NewWithT(t)
	in := run(t, clusterConfiguration("a.local"), func(b *helpers.InputBuilder) {
		b.WithValuesJSON(`{"global":{"discovery":{"clusterDomain":"a.local"},"clusterConfiguration":{"clusterDomain":"a.local","podSubnetCIDR":"","serviceSubnetCIDR":""}}}`)
		b.WithSnapshot("stored", helpers.SnapshotJSON(`"a.local"`))
	})
	g.Expect(in.Values.GetPatches()).To(BeEmpty())
}

func TestStoringTheDomainYieldsToWhoeverWritesAtTheSameTime(t *testing.T) {
	g := NewWithT(t)
	conflicts := 0
	cluster := k8s{fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(uuidConfigMap(map[string]string{uuidKey: "x"})).
		WithInterceptorFuncs(interceptor.Funcs{Update: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.UpdateOption) error {
			if conflicts++; conflicts == 1 {
				return apierrors.NewConflict(corev1.Resource("configmaps"), uuidName, errors.New("written meanwhile"))
			}
			return c.Update(ctx, object, options...)
		}}).Build()}
	stored, err := store(context.Background(), mock.NewDependencyContainerMock(t).GetK8sClientMock.Return(cluster, nil), domainKey, "a.local", false)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(stored).To(Equal("a.local"))
	g.Expect(conflicts).To(Equal(2))
}

// k8s is a Kubernetes client on a fake cluster.
type k8s struct{ client.Client }

func (k8s) Dynamic() dynamic.Interface { return nil }

func uuidConfigMap(data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: uuidNamespace, Name: uuidName}, Data: data}
}

func TestClusterUUID(t *testing.T) {
	const stored, known = "11111111-2222-4333-8444-555555555555", "66666666-7777-4888-9999-aaaaaaaaaaaa"
	cases := map[string]struct {
		snapshot, known string
		exists          *corev1.ConfigMap
		want            string
	}{
		"takes the stored one":                                         {snapshot: stored, want: stored},
		"makes one where there is none":                                {},
		"keeps a known one when somebody deleted the ConfigMap":        {known: known, want: known},
		"yields to one that was stored meanwhile":                      {exists: uuidConfigMap(map[string]string{uuidKey: stored}), want: stored},
		"fills a ConfigMap that has lost its key":                      {exists: uuidConfigMap(nil), known: known, want: known},
		"stays with the stored one though another was known before it": {snapshot: stored, known: known, want: stored},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			objects := fake.NewClientBuilder().WithScheme(scheme.Scheme)
			if c.exists != nil {
				objects = objects.WithObjects(c.exists)
			}
			cluster := k8s{objects.Build()}
			in := run(t, clusterUUID(), func(b *helpers.InputBuilder) {
				container := mock.NewDependencyContainerMock(t)
				if c.snapshot == "" {
					container.GetK8sClientMock.Return(cluster, nil)
				} else {
					b.WithSnapshot("uuid", helpers.SnapshotJSON(fmt.Sprintf("%q", c.snapshot)))
				}
				if c.known != "" {
					b.WithValuesJSON(fmt.Sprintf(`{"global":{"discovery":{"clusterUUID":%q}}}`, c.known))
				}
				b.WithDependencyContainer(container)
			})
			got := value(in, "global.discovery.clusterUUID").String()
			g.Expect(got).To(MatchRegexp(validUUID.String()))
			if c.want != "" {
				g.Expect(got).To(Equal(c.want))
			}
			if c.snapshot == "" {
				configMap := uuidConfigMap(nil)
				g.Expect(cluster.Get(context.Background(), client.ObjectKeyFromObject(configMap), configMap)).To(Succeed())
				g.Expect(configMap.Data).To(HaveKeyWithValue(uuidKey, got), "what is published is what is stored")
			}
		})
	}
}

func TestAStoredUUIDThatIsNoneIsNotReplaced(t *testing.T) {
	g := NewWithT(t)
	_, err := tryRun(t, clusterUUID(), func(b *helpers.InputBuilder) { b.WithSnapshot("uuid", helpers.SnapshotJSON(`"cluster-a"`)) })
	g.Expect(err).To(MatchError(ContainSubstring(`"cluster-a" is not one, restore it`)))
}

func TestKubernetesVersion(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"major":"1","minor":"34","gitVersion":"v1.34.3+k3s1"}`)
	}))
	defer server.Close()
	in := run(t, kubernetesVersion(), func(b *helpers.InputBuilder) {
		b.WithDependencyContainer(mock.NewDependencyContainerMock(t).GetClientConfigMock.Return(&rest.Config{Host: server.URL}, nil))
	})
	g.Expect(value(in, "global.discovery.kubernetesVersion").String()).To(Equal("1.34.3"))
	g.Expect(value(in, "global.clusterConfiguration.kubernetesVersion").String()).To(Equal("1.34"))
}

func TestVersions(t *testing.T) {
	for given, want := range map[string][2]string{
		"v1.34.3":          {"1.34.3", "1.34"},
		"v1.30.14-gke.100": {"1.30.14", "1.30"},
		"1.31":             {"1.31.0", "1.31"},
	} {
		g := NewWithT(t)
		full, short, err := versions(given)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect([2]string{full, short}).To(Equal(want))
	}
	_, _, err := versions("unknown")
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("read the API server's version")))
}

func TestControlPlaneIsHighlyAvailableFromTheSecondNodeOn(t *testing.T) {
	for nodes, want := range map[int]bool{0: false, 1: false, 2: true, 3: true} {
		g := NewWithT(t)
		in := run(t, controlPlane(), func(b *helpers.InputBuilder) {
			for i := range nodes {
				b.WithSnapshot("control_plane_nodes", helpers.SnapshotJSON(fmt.Sprintf(`"node-%d"`, i)))
			}
		})
		g.Expect(value(in, "global.discovery.clusterControlPlaneIsHighlyAvailable").Bool()).To(Equal(want))
	}
}

func TestEnabledModules(t *testing.T) {
	cases := map[string]struct {
		crds []string
		want []string
	}{
		"this module is always there":                           {nil, []string{"istio"}},
		"cert-manager counts when its CRD is there":             {[]string{"certificates.cert-manager.io"}, []string{"cert-manager", "istio"}},
		"the autoscaler counts when its CRD is there":           {[]string{"verticalpodautoscalers.autoscaling.k8s.io"}, []string{"istio", "vertical-pod-autoscaler"}},
		"alerts are installed where their CRD is":               {[]string{"prometheusrules.monitoring.coreos.com"}, []string{"istio", "operator-prometheus-crd"}},
		"a CRD that no template asks about does not count":      {[]string{"widgets.example.com"}, []string{"istio"}},
		"the order in which CRDs are found makes no difference": {[]string{"verticalpodautoscalers.autoscaling.k8s.io", "certificates.cert-manager.io"}, []string{"cert-manager", "istio", "vertical-pod-autoscaler"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			in := run(t, enabledModules(), func(b *helpers.InputBuilder) {
				for _, crd := range c.crds {
					b.WithSnapshot("crds", helpers.SnapshotJSON(fmt.Sprintf("%q", crd)))
				}
			})
			got := []string{}
			for _, module := range value(in, "global.enabledModules").Array() {
				got = append(got, module.String())
			}
			g.Expect(got).To(Equal(c.want))
		})
	}
}

func TestIstioVersionsInTheImages(t *testing.T) {
	g := NewWithT(t)
	const path = "global.modulesImages.istioVersions"
	in := run(t, istioVersions([]string{"1.31.0", "1.29.1"}), func(*helpers.InputBuilder) {})
	g.Expect(value(in, path).Raw).To(MatchJSON(`["1.31.0", "1.29.1"]`))
	g.Expect(value(run(t, istioVersions(nil), func(*helpers.InputBuilder) {}), path).Exists()).To(BeFalse())
}

func TestModulesImages(t *testing.T) {
	file := filepath.Join(t.TempDir(), "images_digests.json")
	hook := modulesImages("registry.example.com/istio", file)
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("come from the file, by their names", func(t *testing.T) {
		g := NewWithT(t)
		write(`{"metadataExporter":"sha256:abc"}`)
		in := run(t, hook, func(*helpers.InputBuilder) {})
		g.Expect(value(in, "global.modulesImages.registry.base").String()).To(Equal("registry.example.com/istio"))
		g.Expect(value(in, "global.modulesImages.digests.istio").Raw).To(MatchJSON(`{"metadataExporter":"sha256:abc"}`))
	})
	t.Run("are never invented", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(os.Remove(file)).To(Succeed())
		_, err := tryRun(t, hook, func(*helpers.InputBuilder) {})
		g.Expect(err).To(MatchError(And(ContainSubstring(file), ContainSubstring("--images-digests"), ContainSubstring("make images"))))
	})
	t.Run("are an error in a file of another form", func(t *testing.T) {
		g := NewWithT(t)
		write(`[]`)
		_, err := tryRun(t, hook, func(*helpers.InputBuilder) {})
		g.Expect(err).To(MatchError(ContainSubstring(file)))
	})
}

func TestRegistryCredentials(t *testing.T) {
	const (
		valid   = `{"uid":"1","type":"kubernetes.io/dockerconfigjson","config":"eyJhdXRocyI6eyJyZWdpc3RyeS5leGFtcGxlLmNvbSI6eyJhdXRoIjoiWVRwaSJ9fX0="}`
		invalid = `{"uid":"1","type":"Opaque","config":""}`
		release = `{"uid":"2","type":"kubernetes.io/dockerconfigjson","config":"cmVsZWFzZQ=="}`
	)
	for name, test := range map[string]struct{ secret, release, known, want, event string }{
		"are those of the Secret":                             {secret: valid, want: "eyJhdXRocyI6eyJyZWdpc3RyeS5leGFtcGxlLmNvbSI6eyJhdXRoIjoiWVRwaSJ9fX0="},
		"are none without it":                                 {release: release, known: "bGFzdA=="},
		"stay while it cannot be used":                        {secret: invalid, known: "bGFzdA==", want: "bGFzdA==", event: "used before stay in force"},
		"stay while it cannot be used, over a restart":        {secret: invalid, release: release, want: "cmVsZWFzZQ==", event: "used before stay in force"},
		"are none while the first Secret ever cannot be used": {secret: invalid, event: "pulled without a password"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			cluster := k8s{fake.NewClientBuilder().WithScheme(scheme.Scheme).Build()}
			in := run(t, registryCredentials("d8-system", "istio-operator-registry", "registry.example.com/istio"), func(b *helpers.InputBuilder) {
				container := mock.NewDependencyContainerMock(t)
				if test.event != "" {
					container.GetK8sClientMock.Return(cluster, nil)
				}
				b.WithDependencyContainer(container)
				b.WithValuesJSON(fmt.Sprintf(`{"global":{"modulesImages":{"registry":{"credentials":%q}}}}`, test.known))
				for binding, object := range map[string]string{"secret": test.secret, "in_release": test.release} {
					if object != "" {
						b.WithSnapshot(binding, helpers.SnapshotJSON(object))
					}
				}
			})
			g.Expect(value(in, "global.modulesImages.registry.credentials").String()).To(Equal(test.want))
			var events corev1.EventList
			g.Expect(cluster.List(context.Background(), &events)).To(Succeed())
			if test.event == "" {
				g.Expect(events.Items).To(BeEmpty())
				return
			}
			g.Expect(events.Items).To(HaveLen(1))
			g.Expect(events.Items[0].InvolvedObject.Name).To(Equal("istio-operator-registry"))
			g.Expect(events.Items[0].Message).To(And(ContainSubstring(test.event), ContainSubstring("kubectl create secret docker-registry")))
		})
	}
}
