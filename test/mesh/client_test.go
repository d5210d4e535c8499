package mesh

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

const deadline = 10 * time.Second

var sidecar = Proxy{
	IP: "10.0.0.7", Pod: "web-1", Namespace: "shop", ServiceAccount: "web", Labels: map[string]string{"app": "web"},
	ClusterDomain: "cluster.local", ClusterID: "one", Version: "1.31.3",
}

// fakeIstiod answers one stream by the script of the test.
type fakeIstiod struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer
	requests  chan *discovery.DiscoveryRequest
	responses chan *discovery.DiscoveryResponse
	fail      chan error
}

func (f *fakeIstiod) StreamAggregatedResources(stream discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	go func() {
		for {
			request, err := stream.Recv()
			if err != nil {
				return
			}
			f.requests <- request
		}
	}()
	for {
		select {
		case response := <-f.responses:
			if err := stream.Send(response); err != nil {
				return err
			}
		case err := <-f.fail:
			return err
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func startIstiod(t *testing.T) (*fakeIstiod, *grpc.ClientConn) {
	t.Helper()
	fake := &fakeIstiod{
		requests: make(chan *discovery.DiscoveryRequest, 100), responses: make(chan *discovery.DiscoveryResponse), fail: make(chan error),
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(server, fake)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	connection, err := DialPlaintext(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return fake, connection
}

func connect(t *testing.T, connection *grpc.ClientConn) *Client {
	t.Helper()
	client, err := Connect(connection, sidecar)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// next request for the type; others before it are passed over.
func (f *fakeIstiod) next(t *testing.T, kind string) *discovery.DiscoveryRequest {
	t.Helper()
	timeout := time.After(deadline)
	for {
		select {
		case request := <-f.requests:
			if request.GetTypeUrl() == kind {
				return request
			}
		case <-timeout:
			t.Fatalf("no request for %s", kind)
		}
	}
}

func (f *fakeIstiod) answer(t *testing.T, kind, nonce string, resources ...proto.Message) {
	t.Helper()
	response := &discovery.DiscoveryResponse{TypeUrl: kind, VersionInfo: "v-" + nonce, Nonce: nonce}
	for _, resource := range resources {
		response.Resources = append(response.Resources, pack(t, resource))
	}
	select {
	case f.responses <- response:
	case <-time.After(deadline):
		t.Fatal("the stream takes no response")
	}
}

func pack(t *testing.T, resource proto.Message) *anypb.Any {
	t.Helper()
	packed, err := anypb.New(resource)
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func edsCluster(name string) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name: name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
	}
}

func await(t *testing.T, client *Client, condition func(*View) string) *View {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	view, err := client.Await(ctx, condition)
	if err != nil {
		t.Fatal(err)
	}
	return view
}

func anything(*View) string { return "" }

func TestAProxySaysWhoItIsOnceAndAcceptsWhatComes(t *testing.T) {
	istiod, connection := startIstiod(t)
	connect(t, connection)
	first := istiod.next(t, clusterType)
	if want := "sidecar~10.0.0.7~web-1.shop~shop.svc.cluster.local"; first.GetNode().GetId() != want {
		t.Errorf("the node is %q, want %q", first.GetNode().GetId(), want)
	}
	metadata := first.GetNode().GetMetadata().AsMap()
	for name, want := range map[string]string{
		"NAMESPACE": "shop", "SERVICE_ACCOUNT": "web", "CLUSTER_ID": "one", "ISTIO_VERSION": "1.31.3", "INTERCEPTION_MODE": "REDIRECT",
	} {
		if metadata[name] != want {
			t.Errorf("metadata %s is %v, want %s", name, metadata[name], want)
		}
	}
	istiod.answer(t, clusterType, "1")
	accepted := istiod.next(t, clusterType)
	if accepted.GetResponseNonce() != "1" || accepted.GetVersionInfo() != "v-1" || accepted.GetErrorDetail() != nil {
		t.Errorf("the response is answered with %v", accepted)
	}
	if accepted.GetNode() != nil {
		t.Error("the node is sent again")
	}
}

func TestAViewIsCompleteWhenEverythingItNamesHasArrived(t *testing.T) {
	istiod, connection := startIstiod(t)
	client := connect(t, connection)
	istiod.answer(t, clusterType, "1", edsCluster("outbound|80||web.shop.svc.cluster.local"), edsCluster("outbound|80||api.shop.svc.cluster.local"))
	if got, want := istiod.next(t, endpointType).GetResourceNames(),
		[]string{"outbound|80||api.shop.svc.cluster.local", "outbound|80||web.shop.svc.cluster.local"}; !slices.Equal(got, want) {
		t.Errorf("endpoints asked for are %v, want %v", got, want)
	}
	istiod.answer(t, listenerType, "2", httpListener(t, "0.0.0.0_80", "80"))
	if got := istiod.next(t, routeType).GetResourceNames(); !slices.Equal(got, []string{"80"}) {
		t.Errorf("routes asked for are %v", got)
	}
	istiod.answer(t, endpointType, "3", &endpointv3.ClusterLoadAssignment{ClusterName: "outbound|80||web.shop.svc.cluster.local"})
	istiod.answer(t, routeType, "4", &routev3.RouteConfiguration{Name: "80"})
	istiod.next(t, routeType)

	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("enough"))
	_, err := client.Await(ctx, anything)
	if err == nil || !strings.Contains(err.Error(), "endpoints of outbound|80||api.shop") || !strings.Contains(err.Error(), "enough") {
		t.Errorf("before all endpoints came, waiting says: %v", err)
	}
	istiod.answer(t, endpointType, "5", &endpointv3.ClusterLoadAssignment{ClusterName: "outbound|80||api.shop.svc.cluster.local"})
	view := await(t, client, anything)
	if len(view.Endpoints) != 2 || len(view.Routes) != 1 || len(view.Clusters) != 2 || len(view.Listeners) != 1 {
		t.Errorf("the view holds %d endpoints, %d routes, %d clusters, %d listeners", len(view.Endpoints), len(view.Routes), len(view.Clusters), len(view.Listeners))
	}

	istiod.answer(t, clusterType, "6", edsCluster("outbound|80||api.shop.svc.cluster.local"))
	view = await(t, client, func(view *View) string {
		if len(view.Clusters) != 1 {
			return "a cluster is still there"
		}
		return ""
	})
	if view.Endpoints["outbound|80||web.shop.svc.cluster.local"] != nil {
		t.Error("endpoints of a cluster that has gone are still there")
	}
}

func TestWaitingEndsWithTheStreamAndSaysWhatWasMissing(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(t *testing.T, istiod *fakeIstiod)
		want string
	}{
		"because istiod rejects the proxy": {
			func(t *testing.T, istiod *fakeIstiod) {
				t.Helper()
				istiod.fail <- status.Error(codes.PermissionDenied, "no identities matched")
			}, "no identities matched",
		},
		"because istiod leaves": {
			func(t *testing.T, istiod *fakeIstiod) { t.Helper(); istiod.fail <- nil }, io.EOF.Error(),
		},
		"because nobody asked for what comes": {
			func(t *testing.T, istiod *fakeIstiod) { t.Helper(); istiod.answer(t, "type.googleapis.com/odd", "1") }, "nobody asked for",
		},
		"because a resource is of another type": {
			func(t *testing.T, istiod *fakeIstiod) {
				t.Helper()
				istiod.answer(t, clusterType, "1", &routev3.RouteConfiguration{Name: "80"})
			}, "read " + clusterType,
		},
	} {
		t.Run(name, func(t *testing.T) {
			istiod, connection := startIstiod(t)
			client := connect(t, connection)
			istiod.next(t, clusterType)
			test.end(t, istiod)
			ctx, cancel := context.WithTimeout(context.Background(), deadline)
			defer cancel()
			_, err := client.Await(ctx, anything)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "missing until then: istiod has not sent any") {
				t.Errorf("waiting ends with: %v", err)
			}
		})
	}
}

func TestAProxyThatCannotBeDescribedDoesNotConnect(t *testing.T) {
	_, connection := startIstiod(t)
	for name, proxy := range map[string]Proxy{
		"without an IP":            {Pod: "web", Namespace: "shop", ClusterDomain: "cluster.local"},
		"without a namespace":      {IP: "10.0.0.1", Pod: "web", ClusterDomain: "cluster.local"},
		"whose name has a tilde":   {IP: "10.0.0.1", Pod: "we~b", Namespace: "shop", ClusterDomain: "cluster.local"},
		"with odd metadata":        {IP: "10.0.0.1", Pod: "web", Namespace: "shop", ClusterDomain: "cluster.local", Metadata: map[string]any{"x": struct{}{}}},
		"without a cluster domain": {IP: "10.0.0.1", Pod: "web", Namespace: "shop"},
	} {
		t.Run(name, func(t *testing.T) {
			if client, err := Connect(connection, proxy); err == nil {
				client.Close()
				t.Error("it connects")
			}
		})
	}
}

func httpListener(t *testing.T, name, routes string) *listenerv3.Listener {
	t.Helper()
	return &listenerv3.Listener{Name: name, FilterChains: []*listenerv3.FilterChain{httpChain(t, routes)}}
}
