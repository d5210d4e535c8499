package hookruntime

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/deckhouse/module-sdk/pkg"
	"github.com/deckhouse/module-sdk/pkg/dependency"
	"github.com/deckhouse/module-sdk/pkg/dependency/httpclient"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func get(t *testing.T, httpClient pkg.HTTPClient, url string) error {
	t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := httpClient.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func containers() map[string]pkg.DependencyContainer {
	return map[string]pkg.DependencyContainer{
		"inside addon-operator": NewDependencies(),
		"inside module-sdk": &moduleSDKDependencies{
			DependencyContainer: dependency.NewDependencyContainer(), clients: newHTTPClients(),
		},
	}
}

func TestEveryHTTPClientHonoursItsOwnOptions(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer server.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})

	for name, container := range containers() {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			// In this order, a client that is made once and kept would give itself away.
			g.Expect(get(t, container.GetHTTPClient(), server.URL)).To(MatchError(ContainSubstring("certificate")))
			g.Expect(get(t, container.GetHTTPClient(httpclient.WithAdditionalCACerts([][]byte{ca})), server.URL)).To(Succeed())
			g.Expect(get(t, container.GetHTTPClient(httpclient.WithAdditionalCACerts([][]byte{ca}), httpclient.WithTLSServerName("other.invalid")), server.URL)).
				To(MatchError(ContainSubstring("other.invalid")))
			g.Expect(get(t, container.GetHTTPClient(httpclient.WithInsecureSkipVerify()), server.URL)).To(Succeed())
			g.Expect(get(t, container.GetHTTPClient(), server.URL)).To(MatchError(ContainSubstring("certificate")))
			g.Expect(get(t, container.GetHTTPClient(httpclient.WithAdditionalCACerts([][]byte{[]byte("no PEM")})), server.URL)).
				To(MatchError(ContainSubstring("the PEM bundle has no certificate")))
		})
	}
}

func TestHTTPClientTimesOut(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	g := NewWithT(t)
	err := get(t, NewDependencies().GetHTTPClient(httpclient.WithTimeout(50*time.Millisecond)), server.URL)
	g.Expect(err).To(MatchError(ContainSubstring("Client.Timeout exceeded")))
}

func TestClientsOfOneTrustShareConnectionsAndTheirNumberIsBounded(t *testing.T) {
	g := NewWithT(t)
	clients := newHTTPClients()
	g.Expect(clients.get(httpclient.WithTimeout(time.Second)).Transport).To(BeIdenticalTo(clients.get().Transport))
	for i := range 3 * maxTransports {
		clients.get(httpclient.WithTLSServerName(fmt.Sprintf("peer-%d", i)))
		g.Expect(len(clients.transports)).To(BeNumerically("<=", maxTransports))
	}
}

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
