//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/test/mesh"
)

// gatewayPort is where a cluster's gateway takes connections of neighbours.
const gatewayPort = 15443

// fabric is the network between stand-ins: addresses that istiod knows, and
// where something really listens for them.
type fabric struct {
	mu   sync.Mutex
	real map[string]string
}

func newFabric() *fabric { return &fabric{real: map[string]string{}} }

// listen for the address until the test ends; what listened for it before is not reached any more.
func (f *fabric) listen(t *testing.T, address string, handle func(net.Conn)) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.real[address] = listener.Addr().String()
	f.mu.Unlock()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer func() { _ = connection.Close() }()
				_ = connection.SetDeadline(time.Now().Add(prompt))
				handle(connection)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
}

func (f *fabric) dial(address string) (net.Conn, error) {
	f.mu.Lock()
	real, ok := f.real[address]
	f.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("nothing listens for %s", address)
	}
	connection, err := net.DialTimeout("tcp", real, prompt)
	if err == nil {
		err = connection.SetDeadline(time.Now().Add(prompt))
	}
	return connection, err
}

// workload is a program in a Pod together with its sidecar: it does with TLS
// what istiod tells the sidecar.
type workload struct {
	pod         *corev1.Pod
	sidecar     *mesh.Client
	certificate *mesh.Certificate
	network     *fabric

	// answering is held while a caller is answered; refused is why the last one was not let in.
	answering sync.Mutex
	refused   error
}

// workload with the label app=name in a namespace of the mesh, with a certificate by its own token.
func (c *cluster) workload(t *testing.T, network *fabric, namespace, name string) *workload {
	t.Helper()
	pod := c.run(t, newPod(namespace, name, nil, nil))
	return &workload{pod: pod, sidecar: c.sidecar(t, pod, defaultIstio()), certificate: c.certify(t, defaultIstio(), namespace), network: network}
}

// told is what istiod has told the proxy by now.
func told(proxy *mesh.Client) (*mesh.View, error) {
	ctx, cancel := context.WithTimeout(context.Background(), prompt)
	defer cancel()
	return proxy.Await(ctx, func(*mesh.View) string { return "" })
}

// serve mutual TLS on a port of the Pod: whoever is let in is told who it is, by the identity it has proven.
func (w *workload) serve(t *testing.T, port int) {
	t.Helper()
	w.network.listen(t, fmt.Sprintf("%s:%d", w.pod.Status.PodIP, port), func(connection net.Conn) {
		w.answering.Lock()
		defer w.answering.Unlock()
		w.refused = w.answer(connection, port)
	})
}

// refusal is why the last caller was not let in, nil when it was.
func (w *workload) refusal() error {
	w.answering.Lock()
	defer w.answering.Unlock()
	return w.refused
}

func (w *workload) answer(connection net.Conn, port int) error {
	view, err := told(w.sidecar)
	if err != nil {
		return err
	}
	accepted, err := view.Acceptance(port)
	if err != nil {
		return err
	}
	var caller []string
	secured := tls.Server(connection, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: accepted.ALPN, Certificates: []tls.Certificate{w.certificate.TLS()},
		ClientAuth: tls.RequireAnyClientCert, SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) (err error) {
			caller, err = verified(view, state.PeerCertificates, accepted.Identities)
			return err
		},
	})
	if err := secured.Handshake(); err != nil {
		return err
	}
	_, err = fmt.Fprint(secured, caller)
	return errors.Join(err, secured.Close())
}

// call the address as the handshake says, with the certificate. The answer is
// who the other side takes the caller for; server is who it has proven to be.
func (w *workload) call(address string, handshake mesh.Handshake, certificate *mesh.Certificate) (answer string, server []string, err error) {
	view, err := told(w.sidecar)
	if err != nil {
		return "", nil, err
	}
	connection, err := w.network.dial(address)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = connection.Close() }()
	secured := tls.Client(connection, &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: handshake.SNI, NextProtos: handshake.ALPN, Certificates: []tls.Certificate{certificate.TLS()},
		// Neither names nor system roots are what counts in a mesh: VerifyConnection does it all.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) (err error) {
			server, err = verified(view, state.PeerCertificates, handshake.Identities)
			return err
		},
	})
	if err := secured.Handshake(); err != nil {
		return "", nil, err
	}
	// With TLS 1.3 a caller learns only here that the other side has refused it.
	said, err := io.ReadAll(secured)
	return string(said), server, err
}

// gateway of the cluster, as istiod of the default version configures it; it authenticates as the Pod of the DaemonSet.
func (c *cluster) gateway(t *testing.T) *mesh.Client {
	t.Helper()
	pods, err := c.typed.CoreV1().Pods(moduleNamespace).List(context.Background(), metav1.ListOptions{LabelSelector: "app=ingressgateway,module=istio"})
	if err != nil || len(pods.Items) == 0 {
		t.Fatalf("%s has no gateway: %v", c.name, err)
	}
	proxy := c.proxyOf(t, &pods.Items[0], defaultIstio())
	proxy.Gateway = true
	client, err := mesh.Connect(c.secure(t, defaultIstio(), c.tokenFor(t, moduleNamespace, pods.Items[0].Spec.ServiceAccountName, tokenAudience)), proxy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// pass connections through at each of the gateway's addresses, as its istiod
// says: by server name and ALPN alone, without a key of its own.
func pass(t *testing.T, network *fabric, gateway *mesh.Client, addresses []string) {
	t.Helper()
	for _, address := range addresses {
		network.listen(t, address, func(connection net.Conn) {
			_ = passOne(network, gateway, connection)
		})
	}
}

func passOne(network *fabric, gateway *mesh.Client, connection net.Conn) error {
	hello, read, err := readHello(connection)
	if err != nil {
		return err
	}
	view, err := told(gateway)
	if err != nil {
		return err
	}
	target, err := view.Passthrough(gatewayPort, hello.ServerName, hello.SupportedProtos)
	if err != nil {
		return err
	}
	endpoints, err := view.EndpointsOf(target)
	if err != nil {
		return err
	}
	if len(endpoints) == 0 {
		return fmt.Errorf("cluster %s has no endpoints", target)
	}
	backend, err := network.dial(endpoints[0])
	if err != nil {
		return err
	}
	defer func() { _ = backend.Close() }()
	if _, err := backend.Write(read); err != nil {
		return err
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(connection, backend)
		_ = connection.Close()
	})
	_, err = io.Copy(backend, connection)
	_ = backend.Close()
	back.Wait()
	return err
}

var errHelloRead = errors.New("the ClientHello is read")

// readHello returns a connection's ClientHello, and the bytes that it took.
func readHello(connection net.Conn) (*tls.ClientHelloInfo, []byte, error) {
	var read bytes.Buffer
	var hello *tls.ClientHelloInfo
	err := tls.Server(eavesdropper{connection, io.TeeReader(connection, &read)}, &tls.Config{
		GetConfigForClient: func(received *tls.ClientHelloInfo) (*tls.Config, error) {
			hello = received
			return nil, errHelloRead
		},
	}).Handshake()
	if !errors.Is(err, errHelloRead) {
		return nil, nil, fmt.Errorf("read a ClientHello: %w", err)
	}
	return hello, read.Bytes(), nil
}

// eavesdropper is a connection that is only read.
type eavesdropper struct {
	net.Conn
	reader io.Reader
}

func (e eavesdropper) Read(into []byte) (int, error)     { return e.reader.Read(into) }
func (eavesdropper) Write(discarded []byte) (int, error) { return len(discarded), nil }
