package istiod

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/labtest"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/loopback"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

const (
	namespace = "d8-istio"
	deadline  = 20 * time.Second
)

// world is fronts on a fake API server, with Pods on a loopback block of their own.
type world struct {
	*testing.T
	client  *fake.Clientset
	block   *loopback.Block
	network *podnet.Network
	fronts  *Fronts
}

func newWorld(t *testing.T) *world {
	t.Helper()
	block, err := loopback.Claim()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = block.Release() })
	w := &world{
		T: t, client: fake.NewClientset(), block: block,
		network: podnet.New(netip.MustParsePrefix("10.100.0.0/16"), block.Address),
	}
	w.fronts = NewFronts(Options{
		Client: w.client, Namespace: namespace, Address: block.Address(3), Network: w.network, Changed: func() {},
	})
	labtest.Run(t, w.fronts.Run)
	labtest.AwaitWatches(t, w.client, "services", "endpointslices")
	return w
}

// service creates a Service with no Pods.
func (w *world) service(name string) {
	w.Helper()
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name},
	}}
	if _, err := w.client.CoreV1().Services(namespace).Create(w.Context(), service, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
	if _, err := w.client.DiscoveryV1().EndpointSlices(namespace).Create(w.Context(), slice, metav1.CreateOptions{}); err != nil {
		w.Fatal(err)
	}
}

// pod becomes the only Pod of the Service. It says which port of it was called.
func (w *world) pod(service, name string) {
	w.Helper()
	address, err := w.network.Allocate()
	if err != nil {
		w.Fatal(err)
	}
	for port, what := range map[uint16]string{debugPort: "debug", plainPort: "plain", tlsPort: "TLS"} {
		listener, err := net.Listen("tcp", netip.AddrPortFrom(address.Real, port).String())
		if err != nil {
			w.Fatal(err)
		}
		w.Cleanup(func() { _ = listener.Close() })
		go answer(listener, name+" "+what)
	}
	slices := w.client.DiscoveryV1().EndpointSlices(namespace)
	slice, err := slices.Get(w.Context(), service, metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	slice.Endpoints = []discoveryv1.Endpoint{{
		Addresses: []string{address.Shown.String()}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)},
	}}
	if _, err := slices.Update(w.Context(), slice, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
}

// answer every connection with the text once it has said all it has to say: closing before would reset it.
func answer(listener net.Listener, text string) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = connection.Close() }()
			_, _ = io.Copy(io.Discard, connection)
			_, _ = io.WriteString(connection, text)
		}()
	}
}

func say(address, text string) (string, error) {
	connection, err := net.DialTimeout("tcp", address, deadline)
	if err != nil {
		return "", err
	}
	defer func() { _ = connection.Close() }()
	_ = connection.SetDeadline(time.Now().Add(deadline))
	if _, err := io.WriteString(connection, text); err != nil {
		return "", err
	}
	_ = connection.(*net.TCPConn).CloseWrite() // fails when the connection is reset already, as reading tells
	got, err := io.ReadAll(connection)
	return string(got), err
}

func (w *world) await(what string, condition func() bool) {
	w.Helper()
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if condition() {
			return
		}
	}
	w.Fatalf("not within %s: %s", deadline, what)
}

func (w *world) awaitAddresses(count int) map[string]state.Istiod {
	w.Helper()
	var addresses map[string]state.Istiod
	w.await("the addresses are as many as the revisions", func() bool {
		addresses = w.fronts.Addresses()
		return len(addresses) == count
	})
	return addresses
}

func TestARevisionKeepsItsAddressesWhenItsPodIsReplaced(t *testing.T) {
	w := newWorld(t)
	revision := istioversion.Default().Revision()
	w.service("istiod-" + revision)
	w.service("metadata-exporter")
	before := w.awaitAddresses(1)[revision]
	if _, err := say(before.XDS, "PRI"); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("without a Pod a connection ends with %v, want a reset", err)
	}

	debug := strings.TrimPrefix(before.Debug, "http://")
	for _, name := range []string{"first", "second"} {
		w.pod("istiod-"+revision, name)
		w.await("the Pod is called", func() bool {
			got, err := say(before.XDS, "PRI * HTTP/2.0")
			return err == nil && got == name+" plain"
		})
		for _, call := range []struct{ address, request, want string }{
			{before.XDS, "\x16\x03\x01", name + " TLS"},
			{debug, "GET /ready", name + " debug"},
		} {
			if got, err := say(call.address, call.request); err != nil || got != call.want {
				t.Errorf("the answer to %q is %q, %v, want %q", call.request, got, err, call.want)
			}
		}
	}
	if after := w.fronts.Addresses()[revision]; after != before {
		t.Errorf("the addresses were %v and are %v", before, after)
	}
}

func TestAddressesComeAndGoWithRevisions(t *testing.T) {
	w := newWorld(t)
	all := istioversion.All()
	if len(all) < 2 {
		t.Skip("the module has one version of Istio only")
	}
	stays, goes := all[0].Revision(), all[1].Revision()
	w.service("istiod-" + stays)
	kept := w.awaitAddresses(1)[stays]
	w.service("istiod-" + goes)
	gone := w.awaitAddresses(2)[goes]
	if gone.XDS == kept.XDS || gone.Debug == kept.Debug {
		t.Errorf("two revisions share an address: %v, %v", gone, kept)
	}

	if err := w.client.CoreV1().Services(namespace).Delete(t.Context(), "istiod-"+goes, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.await("the front of a revision that is gone is closed", func() bool {
		_, err := say(gone.XDS, "PRI")
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	if left := w.awaitAddresses(1)[stays]; left != kept {
		t.Errorf("the addresses of the other revision were %v and are %v", kept, left)
	}
}
