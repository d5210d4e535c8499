//go:build apiserver

package guarded_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/test/guarded"
	"github.com/deckhouse-mesh/istio/test/support/rendertest"
)

// deadline is how long a test waits for what should come within milliseconds.
const deadline = 20 * time.Second

// secretContent is what no peer may ever see.
const secretContent = "for-nobody-outside"

var (
	root    string
	cluster *guarded.Cluster
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// run starts one API server for all tests.
func run(m *testing.M) (code int, err error) {
	if root, err = rendertest.Root(); err != nil {
		return 0, err
	}
	ctx := context.Background()
	if cluster, err = guarded.StartCluster(ctx, root); err != nil {
		return 0, err
	}
	defer func() {
		if stopErr := cluster.Stop(); err == nil {
			err = stopErr
		}
	}()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "some-name"}, StringData: map[string]string{"password": secretContent}}
	if _, err := cluster.Client.CoreV1().Secrets(guarded.Shop).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return 0, fmt.Errorf("create a Secret: %w", err)
	}
	return m.Run(), nil
}

// proxy is an API proxy in front of the API server, with its caller.
type proxy struct {
	*guarded.Proxy
	account string
	// before is how many requests had arrived at the API server when it was ready.
	before int
}

func start(t *testing.T, account string, rights guarded.Rights) *proxy {
	t.Helper()
	config, err := cluster.Account(t.Context(), account, rights)
	if err != nil {
		t.Fatal(err)
	}
	started, err := cluster.StartProxy(t.Context(), root, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := started.Stop(); err != nil {
			t.Error(err)
		}
	})
	p := &proxy{Proxy: started, account: account}
	p.before = len(arrivals(t))
	return p
}

func arrivals(t *testing.T) []guarded.Arrival {
	t.Helper()
	all, err := cluster.Arrivals()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// arrived are the requests that came since the proxy was ready, without its own
// watches of peers and their resources.
func (p *proxy) arrived(t *testing.T) []guarded.Arrival {
	t.Helper()
	var forwarded []guarded.Arrival
	for _, each := range arrivals(t)[p.before:] {
		own := each.ObjectRef.Name == "d8-remote-clusters-public-metadata" ||
			each.ObjectRef.APIGroup == v1alpha1.Group && each.ObjectRef.Resource == v1alpha1.IstioMulticlusterResource
		if each.UserAgent == "istio-api-proxy" && own {
			continue
		}
		if want := "system:serviceaccount:" + guarded.Namespace + ":" + p.account; each.User.Username != want || each.ImpersonatedUser != nil {
			t.Errorf("the API server saw %q (impersonating %v) ask for %s, want %q", each.User.Username, each.ImpersonatedUser, each.RequestURI, want)
		}
		if want := "istio-api-proxy (peer " + guarded.PeerName + ")"; each.UserAgent != want {
			t.Errorf("%s %s came from %q", each.Verb, each.RequestURI, each.UserAgent)
		}
		forwarded = append(forwarded, each)
	}
	return forwarded
}

func (p *proxy) tlsConfig(t *testing.T, protocols ...string) *tls.Config {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(p.Peer.CAData) {
		t.Fatal("no authority of the proxy's certificate")
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, NextProtos: protocols}
}

// client speaks HTTP/2, or HTTP/1.1 only.
func (p *proxy) client(t *testing.T, http2 bool) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: p.tlsConfig(t), ForceAttemptHTTP2: http2, MaxIdleConnsPerHost: workers}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: deadline, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

// ask sends a request of the peer and returns the answer's code and body.
func (p *proxy) ask(ctx context.Context, client *http.Client, method, target, body string, header http.Header) (code int, answer string, err error) {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(ctx, method, p.Peer.Host+target, reader)
	if err != nil {
		return 0, "", err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("Authorization", "Bearer "+p.Peer.BearerToken)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}

// direct is a client of the API server itself with the proxy's own rights.
func direct(t *testing.T, config *rest.Config) *http.Client {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
