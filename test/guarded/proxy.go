package guarded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/deckhouse-mesh/istio/lib/await"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// startTimeout is how long a program may take until it answers.
const startTimeout = 30 * time.Second

// Proxy is bin/api-proxy in front of a Cluster.
type Proxy struct {
	// Peer is how the peer asks, as its istiod would.
	Peer *rest.Config
	// PID of the process.
	PID int

	dir     string
	command *exec.Cmd
	ended   chan struct{}
}

// StartProxy starts the API proxy with the ServiceAccount's token in account
// (see Account), and admits its one peer. flags are added. The caller stops it.
func (c *Cluster) StartProxy(ctx context.Context, root string, account *rest.Config, flags ...string) (_ *Proxy, err error) {
	dir, err := os.MkdirTemp(c.dir, "proxy-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the proxy: %w", err)
	}
	authority := certtest.NewRoot("guarded", time.Now())
	if err := certtest.WritePair(dir, authority.Server(time.Now(), "127.0.0.1")); err != nil {
		return nil, fmt.Errorf("write the proxy's certificate: %w", err)
	}
	peer, err := c.admit(ctx, authority.PEM())
	if err != nil {
		return nil, err
	}
	token, err := peer.token()
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := WriteKubeconfig(kubeconfig, account); err != nil {
		return nil, err
	}
	addresses, err := FreeAddresses(2)
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		dir: dir, ended: make(chan struct{}),
		Peer: &rest.Config{
			Host: "https://" + addresses[0], BearerToken: token, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAData: []byte(authority.PEM())},
		},
	}
	p.command = exec.Command(filepath.Join(root, "bin", "api-proxy"), append([]string{ //nolint:noctx // Stop ends it
		"--listen-address=" + addresses[0], "--telemetry-address=" + addresses[1], "--namespace=" + Namespace, "--cluster-uuid=" + UUID, "--tls-dir=" + dir,
	}, flags...)...)
	p.command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	log, err := os.Create(p.log())
	if err != nil {
		return nil, fmt.Errorf("make the proxy's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	p.command.Stdout, p.command.Stderr = log, log
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("start the API proxy (`make build` builds it): %w", err)
	}
	p.PID = p.command.Process.Pid
	go func() {
		defer close(p.ended)
		_ = p.command.Wait()
	}()
	if err := p.awaitReady(ctx, "http://"+addresses[1]+"/readyz"); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *Proxy) log() string { return filepath.Join(p.dir, "api-proxy.log") }

// Log is what the proxy has written so far.
func (p *Proxy) Log() string {
	content, err := os.ReadFile(p.log())
	if err != nil {
		return err.Error()
	}
	return string(content)
}

func (p *Proxy) awaitReady(ctx context.Context, url string) error {
	err := await.Until(ctx, startTimeout, func(ctx context.Context) (bool, string, error) {
		select {
		case <-p.ended:
			return false, "", errors.New("the program ended")
		default:
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false, "", err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return await.NotYet(err)
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK, response.Status, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the API proxy: %w: %s", err, strings.TrimSpace(p.Log()))
	}
	return nil
}

// Stop ends the proxy.
func (p *Proxy) Stop() error {
	_ = p.command.Process.Kill()
	<-p.ended
	return nil
}

// WriteKubeconfig writes config, with its token in a file beside it as in a Pod.
func WriteKubeconfig(file string, config *rest.Config) error {
	tokenFile := file + ".token"
	if err := os.WriteFile(tokenFile, []byte(config.BearerToken), 0o600); err != nil {
		return fmt.Errorf("write a token: %w", err)
	}
	const name = "guarded"
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {TokenFile: tokenFile}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}, file)
	if err != nil {
		return fmt.Errorf("write the kubeconfig %s: %w", file, err)
	}
	return nil
}

// FreeAddresses of the loopback interface, where nobody listens.
func FreeAddresses(count int) (addresses []string, err error) {
	for range count {
		listener, listenErr := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it does not wait
		if listenErr != nil {
			return nil, fmt.Errorf("look for a free port: %w", listenErr)
		}
		addresses = append(addresses, listener.Addr().String())
		defer func() { err = errors.Join(err, listener.Close()) }()
	}
	return addresses, nil
}
