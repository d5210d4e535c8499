// Package evidence retains what explains a failure before a lab goes: the
// clusters' objects, events, descriptions and Pod logs, and the nodes' logs and networks.
package evidence

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

// timeout of each question to an API server: what failed may be that server.
const timeout = 30 * time.Second

// questions to each cluster, by the file that has the answer.
var questions = map[string][]string{
	"pods.txt":        {"describe", "pods", "--all-namespaces"},
	"nodes.txt":       {"describe", "nodes"},
	"events.txt":      {"get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"},
	"objects.txt":     {"get", "all", "--all-namespaces", "--output=wide"},
	"federations.txt": {"get", "istiofederations,istiomulticlusters,moduleconfigs", "--output=yaml"},
}

// network is what shows how a node passes packets, asked in its network namespace.
const network = `grep . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/*/forwarding; cat /proc/net/route /proc/net/arp; nft list ruleset`

// Collect writes the evidence of all clusters to a new folder in the state dir
// and returns that. What cannot be had is no error: a file says why.
func Collect(ctx context.Context, stateDir, kubectl string, lab state.Lab) (string, error) {
	dir := filepath.Join(stateDir, "failure-"+time.Now().UTC().Format("20060102-150405"))
	var all errgroup.Group
	for _, cluster := range lab.Clusters {
		to := filepath.Join(dir, cluster.Name)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return "", fmt.Errorf("retain what explains the failure: %w", err)
		}
		for file, question := range questions {
			all.Go(func() error { return ask(ctx, kubectl, cluster.Kubeconfig, filepath.Join(to, file), question) })
		}
		for _, node := range cluster.Nodes {
			logs := filepath.Join(to, "nodes", node.Name)
			all.Go(func() error { return errors.Join(copyLogs(node.Logs, logs), askNetwork(ctx, node.PID, logs)) })
		}
	}
	if err := all.Wait(); err != nil {
		return dir, fmt.Errorf("retain what explains the failure: %w", err)
	}
	return dir, nil
}

func ask(ctx context.Context, kubectl, kubeconfig, file string, question []string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, kubectl, append([]string{"--kubeconfig=" + kubeconfig, "--request-timeout=10s"}, question...)...)
	cmd.Args[0] = "kubectl" // one program, which is several
	return answer(cmd, file)
}

// askNetwork of a node that runs.
func askNetwork(ctx context.Context, pid int, folder string) error {
	if pid == 0 {
		return nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", pid), "sh", "-c", network)
	return answer(cmd, filepath.Join(folder, "network.txt"))
}

// answer writes to the file what a program says.
func answer(cmd *exec.Cmd, file string) error {
	output, err := os.Create(file)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Run(); err != nil {
		_, _ = fmt.Fprintf(output, "%s ended: %v\n", filepath.Base(cmd.Args[0]), err)
	}
	return output.Close()
}

// copyLogs of a node: those of its programs and, below pods, of its containers.
// Links are left out: they lead to these.
func copyLogs(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		below, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch target := filepath.Join(to, below); {
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case entry.Type().IsRegular():
			return copyFile(path, target)
		}
		return nil
	})
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the container has gone meanwhile
	}
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
