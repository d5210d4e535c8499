package mesh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
)

// Client is one proxy's stream from istiod: state-of-the-world ADS, in which
// the proxy subscribes to all clusters and listeners, and then to the endpoints
// and routes that those name; and to the roots to verify others with, as the
// agent beside it does. It accepts whatever it understands.
type Client struct {
	proxy  string
	stream grpc.BidiStreamingClient[discovery.DiscoveryRequest, discovery.DiscoveryResponse]
	cancel context.CancelFunc
	ended  chan struct{}

	// subscriptions is only touched by Connect, then by the goroutine that receives.
	subscriptions map[string]*subscription

	mu      sync.Mutex
	view    *View
	changed chan struct{}
	failure error
}

// subscription to one type of resources; without names it is to all there are.
type subscription struct {
	names          []string
	version, nonce string
}

// Connect opens the stream of the proxy. It lives until Close, or until istiod or the connection ends it.
func Connect(connection grpc.ClientConnInterface, proxy Proxy) (*Client, error) {
	node, err := proxy.node()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).StreamAggregatedResources(ctx)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("open the stream of proxy %s: %w", node.GetCluster(), err)
	}
	client := &Client{
		proxy: node.GetCluster(), stream: stream, cancel: cancel, ended: make(chan struct{}),
		subscriptions: map[string]*subscription{}, view: newView(), changed: make(chan struct{}),
	}
	for _, kind := range []string{clusterType, listenerType, rootsType} {
		client.subscriptions[kind] = &subscription{}
		// A stream that istiod has ended already, as it rejects the proxy, says why when it is read.
		if err := client.request(kind, node); err != nil && !errors.Is(err, io.EOF) {
			cancel()
			return nil, err
		}
	}
	go client.receive()
	return client, nil
}

// Close ends the stream and waits until nothing of it is left.
func (c *Client) Close() {
	c.cancel()
	<-c.ended
}

// Await returns the first complete view for which condition finds nothing
// missing. When the context ends first, or the stream does, the error says what
// was still missing.
func (c *Client) Await(ctx context.Context, condition func(*View) (missing string)) (*View, error) {
	for {
		view, changed, failure := c.state()
		missing := view.incomplete()
		if missing == "" {
			if missing = condition(view); missing == "" {
				return view, nil
			}
		}
		if failure != nil {
			return nil, fmt.Errorf("%w; missing until then: %s", failure, missing)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for what istiod sends proxy %s: %w; still missing: %s", c.proxy, context.Cause(ctx), missing)
		}
	}
}

func (c *Client) state() (*View, <-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.view, c.changed, c.failure
}

func (c *Client) publish(view *View, failure error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if view != nil {
		c.view = view
	}
	c.failure = failure
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Client) receive() {
	defer close(c.ended)
	defer c.cancel()
	for {
		response, err := c.stream.Recv()
		if err == nil {
			err = c.take(response)
		}
		if err != nil {
			c.publish(nil, fmt.Errorf("the stream of proxy %s has ended: %w", c.proxy, err))
			return
		}
	}
}

// take adds a response to the view, accepts it, and subscribes to what it newly names.
func (c *Client) take(response *discovery.DiscoveryResponse) error {
	kind := response.GetTypeUrl()
	accepted, known := c.subscriptions[kind]
	if !known {
		return fmt.Errorf("istiod sends %s, which nobody asked for", kind)
	}
	view := c.view.clone()
	if err := view.merge(response); err != nil {
		return err
	}
	accepted.version, accepted.nonce = response.GetVersionInfo(), response.GetNonce()
	for _, follows := range []struct {
		kind  string
		names []string
	}{{endpointType, view.wantedEndpoints()}, {routeType, view.routes}} {
		if err := c.subscribe(follows.kind, follows.names); err != nil {
			return err
		}
	}
	view.forgetUnwanted()
	if err := c.request(kind, nil); err != nil {
		return err
	}
	c.publish(view, nil)
	return nil
}

func (c *Client) subscribe(kind string, names []string) error {
	present := c.subscriptions[kind]
	switch {
	case present == nil && len(names) == 0, present != nil && slices.Equal(present.names, names):
		return nil
	case present == nil:
		present = &subscription{}
		c.subscriptions[kind] = present
	}
	present.names = names
	return c.request(kind, nil)
}

// request what is subscribed to, accepting what came last. The node goes with the first request only.
func (c *Client) request(kind string, node *core.Node) error {
	present := c.subscriptions[kind]
	return c.send(&discovery.DiscoveryRequest{
		Node: node, TypeUrl: kind, ResourceNames: present.names,
		VersionInfo: present.version, ResponseNonce: present.nonce,
	})
}

func (c *Client) send(request *discovery.DiscoveryRequest) error {
	if err := c.stream.Send(request); err != nil {
		return fmt.Errorf("request %s for proxy %s: %w", request.GetTypeUrl(), c.proxy, err)
	}
	return nil
}
