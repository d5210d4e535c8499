package hookruntime

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/deckhouse/module-sdk/pkg"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestNoClusterBeforeOneIsSet(t *testing.T) {
	g := NewWithT(t)
	container := NewDependencies()
	_, err := container.GetK8sClient()
	g.Expect(err).To(MatchError(errNoCluster))
	_, err = container.GetClientConfig()
	g.Expect(err).To(MatchError(errNoCluster))
	g.Expect(func() { container.MustGetK8sClient() }).To(Panic())
}

// schemeOption adds a kind that client-go does not know.
type schemeOption struct{}

func (schemeOption) Apply(applier pkg.KubernetesOptionApplier) {
	applier.WithSchemeBuilder(widgetScheme)
}

func TestKubernetesClientUsesTheOperatorsAccess(t *testing.T) {
	g := NewWithT(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case request.Header.Get("Authorization") != "Bearer operator":
			w.WriteHeader(http.StatusUnauthorized)
		case request.URL.Path == "/api":
			fmt.Fprint(w, `{"kind":"APIVersions","versions":["v1"]}`)
		case request.URL.Path == "/api/v1":
			fmt.Fprint(w, `{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"configmaps","namespaced":true,"kind":"ConfigMap","verbs":["get"]}]}`)
		case request.URL.Path == "/apis":
			fmt.Fprint(w, `{"kind":"APIGroupList","groups":[]}`)
		case request.URL.Path == "/api/v1/namespaces/kube-system/configmaps/x":
			fmt.Fprint(w, `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"},"data":{"key":"value"}}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()

	container := NewDependencies()
	container.SetRESTConfig(&rest.Config{Host: server.URL, BearerToken: "operator"})
	k8s, err := container.GetK8sClient(schemeOption{})
	g.Expect(err).NotTo(HaveOccurred())

	var configMap corev1.ConfigMap
	g.Expect(k8s.Get(context.Background(), client.ObjectKey{Namespace: "kube-system", Name: "x"}, &configMap)).To(Succeed())
	g.Expect(configMap.Data).To(HaveKeyWithValue("key", "value"))
	g.Expect(k8s.Scheme().Recognizes(widgetVersion.WithKind("Widget"))).To(BeTrue())
	object, err := k8s.Dynamic().Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).
		Namespace("kube-system").Get(context.Background(), "x", metav1.GetOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(object.GetName()).To(Equal("x"))

	config, err := container.GetClientConfig()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.Host).To(Equal(server.URL))
}
