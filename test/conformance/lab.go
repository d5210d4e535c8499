package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// runningLab is a lab that is up.
type runningLab struct {
	stateDir string
	// clusters by their names.
	clusters []string
}

// topologyFile describes a mesh of several clusters to Istio's test framework. It is in the folder of the part's results.
const topologyFile = "topology.json"

// openLab starts a lab for the part, unless one is given. What it returns stops what was started here.
func openLab(ctx context.Context, p part, wanted order) (*runningLab, func(failed bool) error, error) {
	if wanted.present != "" {
		dir, err := filepath.Abs(wanted.present)
		if err != nil {
			return nil, nil, err
		}
		opened, err := describeLab(dir, p)
		return opened, func(bool) error { return nil }, err
	}
	dir, err := os.MkdirTemp("", "istio-conformance-")
	if err != nil {
		return nil, nil, fmt.Errorf("make a folder for the lab: %w", err)
	}
	progress("part %s: starting a lab of %d clusters in %s", p.name, p.clusters, dir)
	// Clusters of one mesh have the domain that the suites take for granted: cluster.local.
	args := []string{"up", "--clusters", strconv.Itoa(p.clusters), "--nodes", "1", "--mode", "multicluster", "--state-dir", dir, "--detach"}
	if p.network != "" {
		args = append(args, "--network", p.network)
	}
	if wanted.baseline {
		args = append(args, "--without-module")
	}
	if err := lab(ctx, args...); err != nil {
		return nil, nil, errors.Join(err, stopLab(dir, false))
	}
	opened, err := describeLab(dir, p)
	if err != nil {
		return nil, nil, errors.Join(err, stopLab(dir, false))
	}
	return opened, func(failed bool) error { return stopLab(dir, failed) }, nil
}

// describeLab reads which clusters the lab has, of which the part gets as many as it wants.
func describeLab(dir string, p part) (*runningLab, error) {
	var described struct {
		Clusters []struct {
			Name string `json:"name"`
		} `json:"clusters"`
	}
	content, err := os.ReadFile(filepath.Join(dir, "lab.json"))
	if err == nil {
		err = json.Unmarshal(content, &described)
	}
	if err != nil {
		return nil, fmt.Errorf("read what lab is in %s: %w", dir, err)
	}
	found := &runningLab{stateDir: dir}
	for _, cluster := range described.Clusters {
		found.clusters = append(found.clusters, cluster.Name)
	}
	if len(found.clusters) < p.clusters {
		return nil, fmt.Errorf("the lab in %s has %d clusters, part %s needs %d", dir, len(found.clusters), p.name, p.clusters)
	}
	found.clusters = found.clusters[:p.clusters]
	return found, nil
}

// stopLab and remove its folder, unless that is to explain a failure.
func stopLab(dir string, failed bool) error {
	// Even when the run was interrupted.
	ctx := context.Background()
	if failed {
		if err := lab(ctx, "collect", "--state-dir", dir); err != nil {
			progress("%v", err)
		}
	}
	if err := lab(ctx, "down", "--state-dir", dir); err != nil || failed {
		return err
	}
	return os.RemoveAll(dir)
}

func labProgram() string { return filepath.Join("bin", "lab") }

// lab runs bin/lab and shows what it reports.
func lab(ctx context.Context, args ...string) error {
	command := exec.CommandContext(ctx, labProgram(), args...)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("bin/lab %s: %w (was it built? `make images`)", args[0], err)
	}
	return nil
}

func (l *runningLab) kubeconfig(cluster string) string {
	return filepath.Join(l.stateDir, cluster, "kubeconfig")
}

// clusterFlag says which clusters there are to Istio's test framework.
func (l *runningLab) clusterFlag(folder string, baseline bool) string {
	if len(l.clusters) > 1 && !baseline {
		return "--istio.test.kube.topology=" + filepath.Join(folder, topologyFile)
	}
	var files []string
	for _, cluster := range l.clusters {
		files = append(files, l.kubeconfig(cluster))
	}
	return "--istio.test.kube.config=" + strings.Join(files, ",")
}

// frameworkCluster is how Istio's test framework reads a cluster from a file.
type frameworkCluster struct {
	// Name by which the cluster's own proxies know it.
	Name    string            `json:"clusterName"`
	Network string            `json:"network"`
	Primary string            `json:"primaryClusterName"`
	Config  string            `json:"configClusterName"`
	Meta    map[string]string `json:"meta"`
}

// writeTopology leaves the file that clusterFlag names: clusters by the names and networks that the module gives them.
func (l *runningLab) writeTopology(ctx context.Context, folder string) error {
	var all []frameworkCluster
	for _, cluster := range l.clusters {
		name, err := l.ask(ctx, cluster, "get", "deployments", "--namespace=d8-istio", "--selector=app=istiod",
			`--output=jsonpath={.items[0].spec.template.spec.containers[0].env[?(@.name=="CLUSTER_ID")].value}`)
		if err != nil {
			return err
		}
		network, err := l.ask(ctx, cluster, "get", "namespace", "d8-istio", `--output=jsonpath={.metadata.labels.topology\.istio\.io/network}`)
		if err != nil {
			return err
		}
		all = append(all, frameworkCluster{
			Name: name, Network: network, Primary: name, Config: name, Meta: map[string]string{"kubeconfig": l.kubeconfig(cluster)},
		})
	}
	encoded, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, topologyFile), encoded, 0o644)
	}
	if err != nil {
		return fmt.Errorf("describe the clusters to the suite: %w", err)
	}
	return nil
}

// kubectlProgram is what `make tools` builds with the nodes' programs.
var kubectlProgram = filepath.Join(".cache", "tools", "kube", "kubectl")

// kubectl runs a command in every cluster.
func (l *runningLab) kubectl(ctx context.Context, args ...string) error {
	for _, cluster := range l.clusters {
		if _, err := l.ask(ctx, cluster, args...); err != nil {
			return err
		}
	}
	return nil
}

// ask a cluster with kubectl.
func (l *runningLab) ask(ctx context.Context, cluster string, args ...string) (answer string, err error) {
	all := append([]string{"--kubeconfig", l.kubeconfig(cluster)}, args...)
	command := exec.CommandContext(ctx, kubectlProgram, all...) //nolint:gosec // the lab's own files
	var complaints strings.Builder
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s in %s: %w: %s", strings.Join(args, " "), cluster, err, strings.TrimSpace(complaints.String()))
	}
	return strings.TrimSpace(string(output)), nil
}
