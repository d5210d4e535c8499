package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/deckhouse-mesh/istio/lib/metadata"
)

const (
	rounds = 3
	// serverCore and loadCore are the cores of a server and of what asks it.
	serverCore, loadCore = "0", "1"
	startTimeout         = 30 * time.Second
)

// serving is how one program serves one document on one core.
type serving struct {
	Program, Document string
	Size              int
	// PerSecond are requests per second; PerCPU, per second that the server
	// computed, which is what counts where the load generator cannot keep the
	// server busy, or other programs run beside. Each is the median of rounds.
	PerSecond, PerCPU, Busy float64
}

// server is a program with its own core and what it serves.
type server struct {
	name, address string
	// paths of the public and the private document.
	public, private string
	process         process
	stop            func()
}

// measureServing lets a copy of the exporter and nginx serve the same bytes, in turns.
func measureServing(ctx context.Context, exporter *program, as *caller) ([]serving, error) {
	taskset, noTaskset := exec.LookPath("taskset")
	nginx, noNginx := findNginx()
	if noTaskset != nil || runtime.NumCPU() < 2 {
		progress("skipping requests per second: two cores and taskset are needed to give each side its own")
		return nil, nil
	}
	dir, err := os.MkdirTemp("", "istio-bench-serving-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the servers: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var servers []*server
	defer func() {
		for _, each := range servers {
			each.stop()
		}
	}()
	copied, err := startExporter(ctx, taskset, dir, exporter)
	if err != nil {
		return nil, err
	}
	servers = append(servers, copied)
	token, err := as.token()
	if err != nil {
		return nil, err
	}
	if noNginx != nil {
		progress("nginx is not installed (Debian: apt-get install nginx): its rows are left out")
	} else {
		other, err := startNginx(ctx, taskset, nginx, dir, copied, token)
		if err != nil {
			return nil, err
		}
		servers = append(servers, other)
	}
	var rows []serving
	for _, document := range []string{metadata.PublicPath, metadata.FederationPath} {
		measured, err := compare(ctx, taskset, servers, document, token)
		if err != nil {
			return nil, err
		}
		rows = append(rows, measured...)
	}
	return rows, nil
}

// compare lets each server serve the document, in turns.
func compare(ctx context.Context, taskset string, servers []*server, document, token string) ([]serving, error) {
	all := make([][]loaded, len(servers))
	for round := range rounds {
		for index, each := range servers {
			before, err := each.process.cpu()
			if err != nil {
				return nil, err
			}
			result, err := load(ctx, taskset, each, document, token)
			if err != nil {
				return nil, err
			}
			after, err := each.process.cpu()
			if err != nil {
				return nil, err
			}
			result.cpu = after - before
			all[index] = append(all[index], result)
			progress("round %d: %s serves %s %.0f times per second", round+1, each.name, document, result.perSecond())
		}
	}
	rows := make([]serving, 0, len(servers))
	for index, each := range servers {
		median := func(of func(loaded) float64) float64 {
			var values []float64
			for _, result := range all[index] {
				values = append(values, of(result))
			}
			slices.Sort(values)
			return values[len(values)/2]
		}
		rows = append(rows, serving{
			Program: each.name, Document: document, Size: all[index][0].Size,
			PerSecond: median(loaded.perSecond),
			PerCPU:    median(func(l loaded) float64 { return float64(l.Requests) / max(l.cpu.Seconds(), 0.01) }),
			Busy:      median(func(l loaded) float64 { return l.cpu.Seconds() / l.Seconds }),
		})
	}
	return rows, nil
}

// startExporter starts the exporter a second time, as its Pod does, with one core.
func startExporter(ctx context.Context, taskset, dir string, exporter *program) (*server, error) {
	arguments, environment, err := exporter.outside(ctx, dir)
	if err != nil {
		return nil, err
	}
	ports, err := freeAddresses(2)
	if err != nil {
		return nil, err
	}
	arguments = slices.DeleteFunc(arguments, func(argument string) bool {
		return strings.HasPrefix(argument, "--listen-address=") || strings.HasPrefix(argument, "--telemetry-address=")
	})
	arguments = append([]string{filepath.Join("bin", "metadata-exporter")}, arguments...)
	arguments = append(arguments, "--listen-address="+ports[0], "--telemetry-address="+ports[1])
	started := &server{name: "metadata-exporter", address: ports[0], public: "/metadata/" + metadata.PublicPath, private: "/metadata/" + metadata.FederationPath}
	return started, started.start(ctx, taskset, arguments, append(environment, "GOMAXPROCS=1"))
}

// findNginx looks where Debian has it, too, which is not in everybody's PATH.
func findNginx() (string, error) {
	if path, err := exec.LookPath("nginx"); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/nginx")
}

const nginxConfiguration = `
daemon off; master_process off; worker_processes 1; pid nginx.pid; error_log error.log;
events { worker_connections 1024; }
http {
	access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; open_file_cache max=16;
	client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
	types { application/json json; }
	server {
		listen %s ssl; root .; ssl_certificate %s/tls.crt; ssl_certificate_key %s/tls.key; ssl_protocols TLSv1.2 TLSv1.3;
	}
}
`

// startNginx lets nginx serve what the exporter serves now, as files, with the exporter's certificate.
func startNginx(ctx context.Context, taskset, nginx, dir string, copied *server, token string) (*server, error) {
	for path, name := range map[string]string{copied.public: "public.json", copied.private: "private.json"} {
		body, err := download(ctx, copied.address, path, token)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), body, 0o644)
		}
		if err != nil {
			return nil, fmt.Errorf("take %s for nginx: %w", path, err)
		}
	}
	tlsDir := filepath.Join(dir, tlsVolume)
	ports, err := freeAddresses(1)
	if err != nil {
		return nil, err
	}
	configuration := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(configuration, fmt.Appendf(nil, nginxConfiguration, ports[0], tlsDir, tlsDir), 0o644); err != nil {
		return nil, fmt.Errorf("configure nginx: %w", err)
	}
	started := &server{name: "nginx", address: ports[0], public: "/public.json", private: "/private.json"}
	// Without -e, it would complain about a log in /var/log.
	return started, started.start(ctx, taskset, []string{nginx, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", configuration}, os.Environ())
}

// start runs the server on its core and waits until it serves.
func (s *server) start(ctx context.Context, taskset string, arguments, environment []string) error {
	// taskset becomes the program: the PID is the server's.
	command := exec.CommandContext(ctx, taskset, append([]string{"-c", serverCore}, arguments...)...)
	command.Env = environment
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	s.process = process(command.Process.Pid)
	s.stop = func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		_, err := download(ctx, s.address, s.public, "")
		if err == nil {
			return nil
		}
		if pause(ctx, 100*time.Millisecond) != nil {
			s.stop()
			return fmt.Errorf("%s does not serve %s: %w", s.name, s.public, err)
		}
	}
}

// freeAddresses of the loopback interface, where nobody listens.
func freeAddresses(count int) (addresses []string, err error) {
	for range count {
		listener, listenErr := net.Listen("tcp", "127.0.0.1:0")
		if listenErr != nil {
			return nil, fmt.Errorf("look for a free port: %w", listenErr)
		}
		addresses = append(addresses, listener.Addr().String())
		defer func() { err = errors.Join(err, listener.Close()) }()
	}
	return addresses, nil
}

func printServed(out io.Writer, rows []serving) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(out, "\nServing over TLS and kept connections, each on one core, median of %d rounds; federation.json includes verifying the caller's token\n", rounds)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "document\tbytes\tprogram\trequests/s\tcore busy\trequests/CPU second\tof nginx (requests/s, per CPU second)\ttarget")
	for _, row := range rows {
		comparison, target := "", ""
		for _, other := range rows {
			if other.Document == row.Document && other.Program == "nginx" && row.Program != "nginx" {
				wall, cpu := row.PerSecond/other.PerSecond, row.PerCPU/other.PerCPU
				comparison = fmt.Sprintf("%.2f, %.2f", wall, cpu)
				target = fmt.Sprintf("at least %.1f: %s", minOfNginx, verdict(min(wall, cpu) >= minOfNginx))
			}
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%.0f\t%.0f %%\t%.0f\t%s\t%s\n", row.Document, row.Size, row.Program, row.PerSecond, row.Busy*100, row.PerCPU, comparison, target)
	}
	_ = table.Flush()
}
