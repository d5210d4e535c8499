//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// insider is a Pod in whose network the test itself acts as the application:
// its connections go where the Pod's would, through the sidecar when there is one.
type insider struct {
	*corev1.Pod
	of *cluster
	// network is the Pod's namespace, dns the cluster's name server.
	network *os.File
	dns     string
}

// enterPod opens the network of a Pod that runs.
func (c *cluster) enterPod(t *testing.T, pod *corev1.Pod) *insider {
	t.Helper()
	status := containerStatus(pod, applicationContainer)
	if status == nil {
		t.Fatalf("Pod %s has no running container %s", pod.Name, applicationContainer)
	}
	_, id, _ := strings.Cut(status.ContainerID, "://")
	pids := processesIn(id)
	if len(pids) == 0 {
		t.Fatalf("no process of Pod %s is found: do the tests run in the machine's own PID namespace?", pod.Name)
	}
	network, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pids[0]))
	if err != nil {
		t.Fatal(err)
	}
	dns, err := c.typed.CoreV1().Services("kube-system").Get(context.Background(), "kube-dns", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &insider{Pod: pod, of: c, network: network, dns: net.JoinHostPort(dns.Spec.ClusterIP, "53")}
}

// dial from within the Pod. Names are absolute: there is no search list.
func (i *insider) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if net.ParseIP(host) == nil {
		resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return i.dialIP(ctx, network, i.dns)
		}}
		addresses, err := resolver.LookupNetIP(ctx, "ip4", strings.TrimSuffix(host, ".")+".")
		if err != nil {
			return nil, err
		}
		address = net.JoinHostPort(addresses[0].Unmap().String(), port)
	}
	return i.dialIP(ctx, network, address)
}

// dialIP opens a connection from within the Pod.
func (i *insider) dialIP(ctx context.Context, network, address string) (connection net.Conn, err error) {
	entered := i.within(func() {
		// One attempt after the other: parallel ones would be on threads that have entered nothing.
		connection, err = (&net.Dialer{FallbackDelay: -1}).DialContext(ctx, network, address)
	})
	return connection, errors.Join(entered, err)
}

// listen on a port of the Pod until the test ends, as another server of the application.
func (i *insider) listen(t *testing.T, port int) net.Listener {
	t.Helper()
	var listener net.Listener
	var err error
	if entered := i.within(func() { listener, err = net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", port)) }); errors.Join(entered, err) != nil {
		t.Fatal(entered, err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// within runs what makes a socket on a thread that has entered the Pod's network: the socket belongs to it from then on.
func (i *insider) within(run func()) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with this function
		if err := unix.Setns(int(i.network.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the network of Pod %s: %w", i.Name, err)
			return
		}
		run()
		done <- nil
	}()
	return <-done
}

// transport for HTTP/1.1 from within the Pod.
func (i *insider) transport() *http.Transport { return &http.Transport{DialContext: i.dial} }

// request of an application.
type request struct {
	method, url string
	// headers such as "Name: value"; Host sets the name that is asked for.
	headers []string
	timeout time.Duration
}

// get the URL, on a connection of its own.
func (i *insider) get(url string, headers ...string) (answer, error) {
	return i.send(request{url: url, headers: headers})
}

// send the request on a connection of its own.
func (i *insider) send(r request) (answer, error) {
	transport := i.transport()
	defer transport.CloseIdleConnections()
	return r.through(transport)
}

func (r request) through(transport http.RoundTripper) (answer, error) {
	timeout := r.timeout
	if timeout == 0 {
		timeout = requestTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	sent, err := http.NewRequestWithContext(ctx, r.method, r.url, nil)
	if err != nil {
		return answer{}, err
	}
	for _, header := range r.headers {
		name, value, _ := strings.Cut(header, ": ")
		if sent.Header.Add(name, value); name == "Host" {
			sent.Host = value
		}
	}
	response, err := transport.RoundTrip(sent)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	got := answer{status: response.StatusCode, header: response.Header}
	for line := range strings.Lines(string(body)) {
		got.read(strings.TrimSpace(line))
	}
	return got, err
}

// echoes reports whether a line comes back through a TCP port of the echo server, and by which Pod.
func (i *insider) echoes(address string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	connection, err := i.dial(ctx, "tcp", address)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = connection.Close() }()
	return echo(connection)
}

// echo sends a line on a connection to the echo server's TCP port and reads what comes back of it.
func echo(connection net.Conn) (answer, error) {
	_ = connection.SetDeadline(time.Now().Add(requestTimeout))
	const line = "said by the test"
	if _, err := io.WriteString(connection, line+"\n"); err != nil {
		return answer{}, err
	}
	var got answer
	received := ""
	for buffer := make([]byte, 4096); !strings.Contains(received, line); {
		n, err := connection.Read(buffer)
		received += string(buffer[:n])
		if err != nil {
			return got, fmt.Errorf("after %q: %w", received, err)
		}
	}
	for line := range strings.Lines(received) {
		got.read(strings.TrimSpace(line))
	}
	return got, nil
}
