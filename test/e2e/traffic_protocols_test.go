//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestTrafficOfEveryProtocolReachesThePeer through one Service with several
// ports, while connections that were opened first remain in use.
func TestTrafficOfEveryProtocolReachesThePeer(t *testing.T) {
	f := trafficOf(t)
	server, client, host := f.Here.Pod("api-v1"), f.There.Pod("client"), f.Here.Host("protocols")
	authority := server.runApplications(t, host)
	f.applyYAML(t, f.Here, protocolsService)
	at := func(port int) string { return fmt.Sprintf("%s:%d", host, port) }
	eventually(t, scheduled, "the Service is known to the peer's client", func() string {
		_, err := fetch(client.transport(), "http://"+at(8000)+"/protocol", nil)
		return because(err)
	})
	kept := keepTalking(t, map[string]func() (talk, error){
		"HTTP/1.1":    func() (talk, error) { return client.openHTTP(at(8000)) },
		"a WebSocket": func() (talk, error) { return client.openSocket(at(8000)) },
		"gRPC":        func() (talk, error) { return client.openStream(at(8002)) },
		"TCP":         func() (talk, error) { return client.openTCP(at(8006)) },
	})
	for name, run := range map[string]func() error{
		"HTTP/1.1": func() error { return says(client.transport(), "http://"+at(8000)+"/protocol", "HTTP/1.1") },
		"HTTP/2":   func() error { return says(client.http2(), "http://"+at(8001)+"/protocol", "HTTP/2.0") },
		"a port by the name of its target": func() error {
			got, err := client.send(request{url: "http://" + host + "/", timeout: stallTimeout})
			return failing(err, by(server.Name)(got))
		},
		"TCP": func() error {
			got, err := client.echoes(at(8003))
			return failing(err, by(server.Name)(got))
		},
		"TLS of the application": func() error { return sealed(client, authority.Pool(), at(8004)) },
		"HTTPS":                  func() error { return sealed(client, authority.Pool(), at(8005)) },
		"a body of 100 MB to the peer": func() error {
			wanted, err := digest(&filler{bodySize})
			if err != nil {
				return err
			}
			return saysTo(client.transport(), "http://"+at(8000)+"/upload", &filler{bodySize}, wanted)
		},
		"an answer of 100 MB, by HTTP/2": func() error { return downloads(client.http2(), "http://"+at(8001)+"/download") },
		"a hundred requests on one connection": func() error {
			transport := client.transport()
			for range 100 {
				if err := says(transport, "http://"+at(8000)+"/protocol", "HTTP/1.1"); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(); err != nil {
				t.Error(err)
			}
		})
	}
	kept(t)
}

// failing is the error, or what is missing.
func failing(err error, missing string) error {
	if err == nil && missing != "" {
		err = fmt.Errorf("%s", missing)
	}
	return err
}

func says(transport http.RoundTripper, url, wanted string) error {
	return saysTo(transport, url, nil, wanted)
}

func saysTo(transport http.RoundTripper, url string, body io.Reader, wanted string) error {
	got, err := fetch(transport, url, body)
	return failing(err, want(got, nil)(wanted))
}

// sealed reports whether TLS is the application's from end to end.
func sealed(client *insider, roots *x509.CertPool, address string) error {
	transport := client.transport()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	return says(transport, "https://"+address+"/protocol", "HTTP/1.1")
}

func downloads(transport http.RoundTripper, url string) error {
	response, err := exchange(transport, url, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	got, err := digest(response.Body)
	if err != nil {
		return err
	}
	wanted, err := digest(&filler{bodySize})
	return failing(err, want(got, nil)(wanted))
}

// keepTalking opens connections and uses them until the returned function is called, which fails the test if one has ended before.
func keepTalking(t *testing.T, open map[string]func() (talk, error)) (end func(t *testing.T)) {
	t.Helper()
	enough, failures := make(chan struct{}), sync.Map{}
	var talking sync.WaitGroup
	for name, opened := range open {
		one, err := opened()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		talking.Go(func() {
			defer one.hangUp()
			for said := 0; ; said++ {
				text := fmt.Sprint("still here ", said)
				if heard, err := one.say(text); err != nil || heard != text {
					failures.Store(name, fmt.Sprintf("after %d answers: %q (%v)", said, heard, err))
					return
				}
				select {
				case <-enough:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	return func(t *testing.T) {
		t.Helper()
		close(enough)
		talking.Wait()
		failures.Range(func(name, failure any) bool {
			t.Errorf("the connection of %s that was kept: %s", name, failure)
			return true
		})
	}
}

// TestTrafficReachesThePeerByEveryFormOfItsName, from within a Pod whose range of addresses the peer has, too.
func TestTrafficReachesThePeerByEveryFormOfItsName(t *testing.T) {
	t.Parallel()
	f := trafficOf(t)
	host, client := f.Here.Host("api"), f.There.Pod("client")
	for _, form := range []string{host, host + ".", host + ":80", host + ".:80", strings.ToUpper(host), strings.ToUpper(host[:1]) + host[1:] + ":80"} {
		t.Run(form, func(t *testing.T) {
			got, err := client.send(request{url: "http://" + form + "/", timeout: stallTimeout})
			if err != nil || got.status != http.StatusOK || !strings.HasPrefix(got.pod, "api-") || got.server != f.Here.identity("default") {
				t.Errorf("%s (%v)", got, err)
			}
		})
	}
	t.Run("as the Pod's own resolver finds it", func(t *testing.T) {
		for _, form := range []string{host, host + "."} {
			eventually(t, prompt, form+" answers", func() string {
				got, err := f.There.call(client.Pod, webURL(form))
				return because(failing(err, unless(got.status == http.StatusOK && strings.HasPrefix(got.pod, "api-"), "%s", got)))
			})
		}
	})
	t.Run("though both clusters have the same ranges", func(t *testing.T) {
		if here, there := f.Here.ranges(t), f.There.ranges(t); here != there {
			t.Errorf("they are %s and %s: this lab shows nothing about it", here, there)
		}
	})
}

// ranges of the cluster: of its first node's Pods, and the first address of its Services.
func (s *side) ranges(t *testing.T) string {
	t.Helper()
	nodes, err := s.typed.CoreV1().Nodes().List(context.Background(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.typed.CoreV1().Services("default").Get(context.Background(), "kubernetes", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return nodes.Items[0].Spec.PodCIDR + " and " + first.Spec.ClusterIP
}
