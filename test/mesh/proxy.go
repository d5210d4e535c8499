package mesh

import (
	"fmt"
	"maps"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// Proxy is the sidecar that asks.
type Proxy struct {
	// IP, Pod and Namespace are the Pod's; istiod finds the Services of the proxy by them.
	IP, Pod, Namespace string
	// ServiceAccount is "default" when empty.
	ServiceAccount string
	// Labels of the Pod, which policies select it by.
	Labels map[string]string
	// ClusterDomain such as cluster.local, and the id that istiod knows its own cluster by.
	ClusterDomain, ClusterID string
	// Version of Istio that the proxy was built from, such as 1.31.3.
	Version string
	// Metadata adds to, or replaces, what the node says of itself otherwise.
	Metadata map[string]any
}

// node describes the proxy as the agent in a sidecar would:
// istio.io/istio, pkg/bootstrap and pkg/model.NodeMetadata.
func (p Proxy) node() (*core.Node, error) {
	for name, value := range map[string]string{"IP": p.IP, "Pod": p.Pod, "Namespace": p.Namespace, "ClusterDomain": p.ClusterDomain} {
		if value == "" || strings.Contains(value, "~") {
			return nil, fmt.Errorf("describe the proxy: its %s is %q", name, value)
		}
	}
	account := p.ServiceAccount
	if account == "" {
		account = "default"
	}
	labels := map[string]any{}
	for name, value := range p.Labels {
		labels[name] = value
	}
	fields := map[string]any{
		"NAME": p.Pod, "NAMESPACE": p.Namespace, "SERVICE_ACCOUNT": account, "LABELS": labels,
		"INSTANCE_IPS": p.IP, "INTERCEPTION_MODE": "REDIRECT", "CLUSTER_ID": p.ClusterID,
		"ISTIO_VERSION": p.Version, "MESH_ID": p.ClusterDomain,
	}
	maps.Copy(fields, p.Metadata)
	metadata, err := structpb.NewStruct(fields)
	if err != nil {
		return nil, fmt.Errorf("describe proxy %s.%s: %w", p.Pod, p.Namespace, err)
	}
	return &core.Node{
		Id:       fmt.Sprintf("sidecar~%s~%s.%s~%s.svc.%s", p.IP, p.Pod, p.Namespace, p.Namespace, p.ClusterDomain),
		Cluster:  p.Pod + "." + p.Namespace,
		Metadata: metadata,
	}, nil
}
