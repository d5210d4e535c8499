package lab

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/egress"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/ingress"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/istiod"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kubelet"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/serviceproxy"
)

// startEgress opens the API server's way to Pods, and returns the file that tells it of it.
func (c *cluster) startEgress() (selector string, err error) {
	proxy, err := egress.Listen(netip.AddrPortFrom(c.block.Address(egressHost), 0), c.network)
	if err != nil {
		return "", err
	}
	c.inBackground(proxy.Serve)
	return proxy.WriteConfiguration(filepath.Join(c.dir, "egress"))
}

// startView opens the ingress controller's way to the API.
func (c *cluster) startView() error {
	certificate, err := tls.LoadX509KeyPair(c.plane.ServerCertificate())
	if err != nil {
		return fmt.Errorf("read the API server's certificate: %w", err)
	}
	view, err := ingress.ListenView(ingress.ViewOptions{
		Address:   netip.AddrPortFrom(c.block.Address(controlPlaneHost), 0),
		APIServer: c.plane.URL(), CAFile: c.plane.CAFile(), Certificate: certificate,
		Network: c.network, Nameless: c.plan.publicHost(),
		Hosts: map[string]string{
			c.plan.publicHost(): c.front.Address().Addr().String(),
			c.plan.apiHost():    c.apiFront.Address().Addr().String(),
		},
	})
	if err != nil {
		return err
	}
	c.view = view
	c.inBackground(view.Serve)
	return nil
}

// startNode runs what stands in for the node and the cloud around it.
func (c *cluster) startNode() {
	node := kubelet.New(kubelet.Options{
		Client: c.clients.Typed, APIServer: c.plane.URL(),
		Dir: filepath.Join(c.dir, "pods"), LogDir: filepath.Join(c.dir, "logs"),
		Program: c.program, Network: c.network, Group: c.group, Changed: c.changed,
	})
	istiods := istiod.NewFronts(istiod.Options{
		Client: c.clients.Typed, Namespace: moduleNamespace,
		Address: c.block.Address(istiodHost), Network: c.network, Changed: c.changed,
	})
	c.publish(func() { c.node, c.istiods = node, istiods })
	c.inBackground(c.node.Run)
	c.inBackground(c.front.Serve)
	c.inBackground(c.istiods.Run)
	c.inBackground(func(ctx context.Context) error {
		return serviceproxy.Follow(ctx, c.clients.Typed, ingressController, c.network, c.front.SetBackends)
	})
	c.inBackground(c.apiFront.Serve)
	c.inBackground(func(ctx context.Context) error { return c.apiFront.follow(ctx, c.clients.Typed, c.network) })
	for namespace, address := range map[string]netip.Addr{moduleNamespace: c.plan.loadBalancerIP, ingress.Namespace: c.plan.ingressIP} {
		c.inBackground(func(ctx context.Context) error {
			return serviceproxy.AssignAddresses(ctx, c.clients.Typed, namespace, address)
		})
	}
}

// program of a container: those of the module that the lab can run.
func (c *cluster) program(pod *corev1.Pod, container *corev1.Container) (kubelet.Program, error) {
	switch {
	case container.Name == exporter:
		return kubelet.Program{Path: c.layout.MetadataExporter(), Env: c.abroad()}, nil
	case pod.Namespace == moduleNamespace && container.Name == apiProxy:
		return kubelet.Program{Path: c.layout.APIProxy()}, nil
	case pod.Namespace == moduleNamespace && istiod.Is(pod, container):
		program, err := istiod.Program(pod, c.layout.Istiod)
		program.Env = c.abroad()
		return program, err
	case ingress.Is(pod, container):
		return kubelet.Program{Path: c.layout.Traefik(), APIServer: c.view.URL()}, nil
	}
	return kubelet.Program{}, fmt.Errorf("the lab has no program for container %q; it does not run images", container.Name)
}

// inBackground runs a part of the cluster until the cluster is stopped. When
// it ends before with an error, the lab does.
func (c *cluster) inBackground(run func(context.Context) error) {
	c.background.Go(func() {
		if err := run(c.backgroundCtx); err != nil && c.backgroundCtx.Err() == nil {
			select {
			case c.failed <- fmt.Errorf("%s: %w", c.plan.name, err):
			default:
			}
		}
	})
}
