package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"text/template"
	"time"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// passer passes TLS connections on to the peer's Service without terminating them.
type passer struct {
	name string
	// host by which the consumer's Pods call the Service through it, and the DestinationRule of that host.
	host, rule string
	// cpu is the time it has computed so far.
	cpu func(ctx context.Context) (time.Duration, error)
}

// startPassers are the peer's gateway, and as many as this machine has of plain Envoy and nginx with one worker each.
func (c *calling) startPassers(ctx context.Context) (_ []*passer, stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, each := range stops {
			each()
		}
	}
	gateway, err := c.gateway(ctx)
	if err != nil {
		return nil, stop, err
	}
	passers := []*passer{gateway}
	target, err := c.publisher.find(ctx, calledComponent)
	if err != nil {
		return nil, stop, err
	}
	backend, err := target.address("http")
	if err != nil {
		return nil, stop, err
	}
	for index, program := range c.passThroughPrograms() {
		started, end, err := c.startPasser(ctx, index, program, backend)
		if err != nil {
			stop()
			return nil, func() {}, err
		}
		stops = append(stops, end)
		if started != nil {
			passers = append(passers, started)
		}
	}
	return passers, stop, nil
}

// gateway of the peer, as the module has set it up. A DestinationRule of one's own is what the module's says, but for a limit.
func (c *calling) gateway(ctx context.Context) (*passer, error) {
	host := c.publisher.calledHost()
	rule := fmt.Sprintf(`{"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "gateway", "namespace": %q},
"spec": {"host": %q, "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}}}`, callNamespace, host)
	if err := c.consumer.kubectl(ctx, rule, "apply", "-f", "-"); err != nil {
		return nil, err
	}
	meter, err := startMeter(ctx, c.publisher, gatewayComponent)
	if err != nil {
		return nil, err
	}
	return &passer{name: "the module's gateway", host: host, rule: "gateway", cpu: func(ctx context.Context) (time.Duration, error) {
		seen, err := meter.now(ctx)
		return seen.cpu, err
	}}, nil
}

// passThroughProgram is one that listens at an address and passes connections on to a backend.
type passThroughProgram struct {
	name string
	// configure writes files into dir and returns the command.
	configure func(dir, listen, backend string) ([]string, error)
}

func (c *calling) passThroughPrograms() []passThroughProgram {
	return []passThroughProgram{
		{"envoy", func(dir, listen, backend string) ([]string, error) {
			file := filepath.Join(dir, "envoy.json")
			content, err := envoyConfiguration(listen, backend)
			if err != nil {
				return nil, err
			}
			program := filepath.Join(".cache", "tools", "envoy", istioversion.Default().Revision(), "envoy")
			return []string{program, "-c", file, "--concurrency", "1", "-l", "error", "--use-dynamic-base-id"}, os.WriteFile(file, content, 0o600)
		}},
		{"nginx", func(dir, listen, backend string) ([]string, error) {
			nginx, err := findNginx()
			if err != nil {
				return nil, errNotInstalled
			}
			const module = "/usr/lib/nginx/modules/ngx_stream_module.so"
			if _, err := os.Stat(module); err != nil {
				return nil, errNotInstalled
			}
			file := filepath.Join(dir, "stream.conf")
			content := fmt.Sprintf(`load_module %s; daemon off; master_process off; worker_processes 1; pid stream.pid; error_log stream.log;
events { worker_connections 4096; }
stream { server { listen %s; ssl_preread on; proxy_pass %s; } }
`, module, listen, backend)
			return []string{nginx, "-p", dir, "-e", filepath.Join(dir, "stream.log"), "-c", file}, os.WriteFile(file, []byte(content), 0o600)
		}},
	}
}

var errNotInstalled = errors.New("it is not installed")

func envoyConfiguration(listen, backend string) ([]byte, error) {
	address := func(of string) (string, error) {
		host, port, err := net.SplitHostPort(of)
		return fmt.Sprintf(`{"socket_address":{"address":%q,"port_value":%s}}`, host, port), err
	}
	here, err := address(listen)
	if err != nil {
		return nil, err
	}
	there, err := address(backend)
	return fmt.Appendf(nil, `{"static_resources":{
"listeners":[{"name":"in","address":%s,
  "listener_filters":[{"name":"envoy.filters.listener.tls_inspector","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"}}],
  "filter_chains":[{"filters":[{"name":"envoy.filters.network.tcp_proxy","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy","stat_prefix":"in","cluster":"out"}}]}]}],
"clusters":[{"name":"out","type":"STATIC","load_assignment":{"cluster_name":"out","endpoints":[{"lb_endpoints":[{"endpoint":{"address":%s}}]}]}}]}}`, here, there), err
}

// startPasser starts the program in the fabric, and tells the consumer's mesh of it; none when it is not installed.
func (c *calling) startPasser(ctx context.Context, index int, program passThroughProgram, backend string) (_ *passer, stop func(), err error) {
	fabric := os.Getenv(addressVariable)
	listener, err := net.Listen("tcp", net.JoinHostPort(fabric, "0"))
	if err != nil {
		return nil, nil, fmt.Errorf("look for a free port: %w", err)
	}
	listen := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, nil, err
	}
	arguments, err := program.configure(c.dir, listen, backend)
	if errors.Is(err, errNotInstalled) {
		progress("%s with its module for streams is not installed (Debian: apt-get install nginx libnginx-mod-stream): its row is left out", program.name)
		return nil, func() {}, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("configure %s: %w", program.name, err)
	}
	command := exec.CommandContext(ctx, arguments[0], arguments[1:]...)
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", program.name, err)
	}
	stop = func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}
	host := program.name + ".bench.internal"
	if err := c.announce(ctx, index, program.name, host, listen); err != nil {
		stop()
		return nil, nil, err
	}
	if err := c.awaitAnswer(ctx, "http://"+host+"/"); err != nil {
		stop()
		return nil, nil, err
	}
	return &passer{name: program.name, host: host, rule: program.name, cpu: func(context.Context) (time.Duration, error) {
		return process(command.Process.Pid).cpu()
	}}, stop, nil
}

// announce the host to the consumer's mesh: the peer's Service by way of the address.
func (c *calling) announce(ctx context.Context, index int, name, host, address string) error {
	ip, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	parsed, err := template.ParseFiles(filepath.Join("test", "bench", "manifests", "passing.yaml"))
	if err != nil {
		return fmt.Errorf("read the manifest: %w", err)
	}
	var manifest bytes.Buffer
	err = parsed.Execute(&manifest, map[string]string{
		"Name": name, "Host": host, "Virtual": "198.18.99." + strconv.Itoa(index+1), "Address": ip, "Port": port,
		"Identity": fmt.Sprintf("spiffe://%s/ns/%s/sa/%s", c.publisher.ClusterDomain, callNamespace, calledService),
		"SNI":      fmt.Sprintf("outbound_.%d_._.%s", demoPort, c.publisher.calledHost()),
	})
	if err != nil {
		return fmt.Errorf("render the manifest: %w", err)
	}
	return c.consumer.kubectl(ctx, manifest.String(), "apply", "-f", "-")
}
