//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// Ports of istiod, as its Deployment names them.
const (
	debugPort       = 8080
	plaintextXDS    = 15010
	secureXDS       = 15012
	forwardDeadline = 10 * time.Second
)

// forwards lead into Pods, as `kubectl port-forward` does. Tests share them.
var forwards = struct {
	mu   sync.Mutex
	open map[forwardKey]*forward
}{open: map[forwardKey]*forward{}}

type forwardKey struct {
	cluster *cluster
	of      component
	port    int
}

// forward from an address of this machine to a port of one Pod.
type forward struct {
	address string
	pod     types.UID
	stop    chan struct{}
	// ended is closed when forwarding has ended.
	ended chan struct{}
}

// address at which a ready Pod of the component answers on the port. It holds as
// long as the Pod does: a new connection needs a new request.
func (c *cluster) address(t *testing.T, of component, port int) string {
	t.Helper()
	var address string
	eventually(t, restarted, fmt.Sprintf("port %d of %s in %s is forwarded", port, of, c.name), func() string {
		var err error
		address, err = c.tryAddress(of, port)
		return because(err)
	})
	return address
}

func (c *cluster) tryAddress(of component, port int) (string, error) {
	pod, err := c.readyPod(of)
	if err != nil {
		return "", err
	}
	forwards.mu.Lock()
	defer forwards.mu.Unlock()
	key := forwardKey{c, of, port}
	if present := forwards.open[key]; present != nil {
		if present.pod == pod.UID && present.works() {
			return present.address, nil
		}
		delete(forwards.open, key)
		present.close()
	}
	opened, err := c.openForward(pod, port)
	if err != nil {
		return "", err
	}
	forwards.open[key] = opened
	return opened.address, nil
}

// closeForwards when the tests have ended.
func closeForwards() {
	forwards.mu.Lock()
	defer forwards.mu.Unlock()
	for key, present := range forwards.open {
		delete(forwards.open, key)
		present.close()
	}
}

func (f *forward) works() bool {
	select {
	case <-f.ended:
		return false
	default:
		return true
	}
}

func (f *forward) close() {
	close(f.stop)
	<-f.ended
}

func (c *cluster) openForward(pod *corev1.Pod, port int) (*forward, error) {
	transport, upgrader, err := spdy.RoundTripperFor(c.config)
	if err != nil {
		return nil, err
	}
	url := c.typed.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL()
	opened := &forward{pod: pod.UID, stop: make(chan struct{}), ended: make(chan struct{})}
	ready := make(chan struct{})
	forwarder, err := portforward.NewOnAddresses(spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url),
		[]string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, opened.stop, ready, io.Discard, io.Discard)
	if err != nil {
		return nil, err
	}
	var failure error
	go func() {
		failure = forwarder.ForwardPorts()
		close(opened.ended)
	}()
	select {
	case <-ready:
	case <-opened.ended:
		return nil, fmt.Errorf("forward port %d of Pod %s: %w", port, pod.Name, failure)
	case <-time.After(forwardDeadline):
		opened.close()
		return nil, fmt.Errorf("forward port %d of Pod %s: nothing is forwarded after %s", port, pod.Name, forwardDeadline)
	}
	ports, err := forwarder.GetPorts()
	if err != nil || len(ports) != 1 {
		opened.close()
		return nil, fmt.Errorf("forward port %d of Pod %s: %w", port, pod.Name, err)
	}
	opened.address = fmt.Sprintf("127.0.0.1:%d", ports[0].Local)
	return opened, nil
}

// xds is the address of the version's istiod for sidecars that prove nothing.
func (c *cluster) xds(t *testing.T, version istioversion.Version) string {
	t.Helper()
	return c.address(t, istiodOf(version), plaintextXDS)
}
