package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/loopback"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/progress"
)

const (
	// startTimeout bounds the wait for each program; a loaded two-core machine needs a fraction of it.
	startTimeout = 3 * time.Minute
	pollInterval = 100 * time.Millisecond
	grace        = 5 * time.Second

	etcdName              = "etcd"
	apiServerName         = "kube-apiserver"
	controllerManagerName = "kube-controller-manager"
)

// Options of a control plane.
type Options struct {
	// Name of the cluster.
	Name string
	// Dir is the cluster's folder; certificates, kubeconfigs, data and logs go below it.
	Dir string
	// Address that everything listens on.
	Address  netip.Addr
	Programs Programs
	// ServiceSubnet and ClusterDomain as in kubeadm's networking section.
	ServiceSubnet netip.Prefix
	ClusterDomain string
	// EgressSelector is the file of an EgressSelectorConfiguration that says how
	// the API server reaches Pods; empty for directly.
	EgressSelector string

	Group    *process.Group
	Reporter *progress.Reporter
	// Changed is called when a process' status changes; it must not block.
	Changed func()
}

// Plane is a running control plane.
type Plane struct {
	options Options
	files   files
	ports   struct{ etcd, apiServer, controllerManager int }
	keepers []Process
	probe   *http.Client
}

// Process is one program of the plane.
type Process struct {
	Name, Log string
	Keeper    *process.Keeper
}

// Start brings the three programs up, one after the other, each ready before the next.
func Start(ctx context.Context, options Options) (*Plane, error) {
	plane := &Plane{options: options}
	if err := plane.prepare(); err != nil {
		return nil, fmt.Errorf("%s: prepare the control plane: %w", options.Name, err)
	}
	steps := []struct {
		name  string
		run   func() process.Command
		ready string
	}{
		{etcdName, plane.etcd, fmt.Sprintf("http://%s:%d/health", options.Address, plane.ports.etcd)},
		{apiServerName, plane.apiServer, plane.URL() + "/readyz"},
		{controllerManagerName, plane.controllerManager, fmt.Sprintf("https://%s:%d/healthz", options.Address, plane.ports.controllerManager)},
	}
	for _, step := range steps {
		log := plane.log(step.name)
		err := options.Reporter.Step(options.Name, step.name+" ready", log, func(func(string)) error {
			command := step.run()
			keeper := options.Group.Keep(process.Options{
				Grace:   grace,
				Changed: options.Changed,
				Next:    func(context.Context) (process.Command, error) { return command, nil },
			})
			plane.keepers = append(plane.keepers, Process{Name: step.name, Log: log, Keeper: keeper})
			return plane.awaitReady(ctx, keeper, step.ready)
		})
		if err != nil {
			plane.Stop()
			return nil, err
		}
	}
	return plane, nil
}

// URL of the API server.
func (p *Plane) URL() string {
	return fmt.Sprintf("https://%s:%d", p.options.Address, p.ports.apiServer)
}

// CAFile is the PEM file the API server's certificate verifies with.
func (p *Plane) CAFile() string { return p.files.ca }

// ServerCertificate is the pair of PEM files that the API server proves itself
// with, at any port of its address.
func (p *Plane) ServerCertificate() (certificate, key string) {
	return p.files.server.certificate, p.files.server.key
}

// Kubeconfig of a cluster administrator.
func (p *Plane) Kubeconfig() string { return filepath.Join(p.options.Dir, "kubeconfig") }

// Processes of the plane, in the order they were started.
func (p *Plane) Processes() []Process { return p.keepers }

// Stop ends the programs in the opposite order and waits until they are gone.
func (p *Plane) Stop() {
	for i := len(p.keepers) - 1; i >= 0; i-- {
		p.keepers[i].Keeper.Stop()
		<-p.keepers[i].Keeper.Done()
	}
}

func (p *Plane) log(name string) string { return filepath.Join(p.options.Dir, "logs", name+".log") }

func (p *Plane) prepare() error {
	for _, dir := range []string{"pki", "logs"} {
		if err := os.MkdirAll(filepath.Join(p.options.Dir, dir), 0o755); err != nil {
			return err
		}
	}
	for _, port := range []struct {
		number    *int
		preferred int
	}{{&p.ports.etcd, 2379}, {&p.ports.apiServer, 6443}, {&p.ports.controllerManager, 10257}} {
		free, err := loopback.Port(p.options.Address, port.preferred)
		if err != nil {
			return err
		}
		*port.number = free
	}
	authority, err := pki.NewAuthority(p.options.Name)
	if err != nil {
		return err
	}
	if p.files, err = p.writeCertificates(authority); err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority.PEM)
	p.probe = &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true},
	}
	return nil
}

// awaitReady waits for a 200 from the URL, and gives up when the process ends before.
func (p *Plane) awaitReady(ctx context.Context, keeper *process.Keeper, url string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	var last error
	for {
		if last = p.answers(ctx, url); last == nil {
			return nil
		}
		switch status := keeper.Status(); {
		case status.StartError != nil:
			return status.StartError
		case status.Last != nil:
			return fmt.Errorf("it ended with %s", status.Last.Reason)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", context.Cause(ctx), last)
		case <-poll.C:
		}
	}
}

func (p *Plane) answers(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := p.probe.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, response.Status)
	}
	return nil
}
