// Package addons is what a cluster of the lab has before anybody installs
// anything: DNS for its Services, an ingress controller, and the note by which
// kubeadm says what the cluster is.
package addons

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
)

// IngressNamespace is where the ingress controller runs; IngressService is its Service.
const (
	IngressNamespace = "lab-ingress"
	IngressService   = "traefik"
)

// Deployments that must be available before the cluster is: namespace and name.
var Deployments = [][2]string{{"kube-system", "coredns"}, {IngressNamespace, IngressService}}

var (
	//go:embed kubeadm.yaml
	kubeadm string
	//go:embed coredns.yaml
	coreDNS string
	//go:embed traefik.yaml
	traefik string
)

// values of the templates.
type values struct {
	Cluster *plan.Cluster
	// Version of Kubernetes.
	Version string
	// Certificate of the cluster's public names.
	Certificate pki.Pair
}

// Apply makes the cluster's addons what they should be. The certificate is good
// for all of the cluster's public names.
func Apply(ctx context.Context, clients *kube.Clients, cluster *plan.Cluster, certificate pki.Pair) error {
	version, err := clients.Typed.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("ask %s for its version: %w", cluster.Name, err)
	}
	objects, err := render(values{Cluster: cluster, Version: version.GitVersion, Certificate: certificate})
	if err != nil {
		return err
	}
	if err := clients.ApplyAll(ctx, objects); err != nil {
		return fmt.Errorf("install the addons of %s: %w", cluster.Name, err)
	}
	return nil
}

func render(values values) ([]map[string]any, error) {
	var all []map[string]any
	for name, text := range map[string]string{"kubeadm": kubeadm, "coredns": coreDNS, "traefik": traefik} {
		objects, err := kube.Render(name, text, values)
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}
