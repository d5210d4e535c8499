package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/deckhouse-mesh/istio/test/support/labtest"
)

// runningLab is a lab that is up.
type runningLab struct {
	*labtest.Lab
	// clusters by their names.
	clusters []string
}

// topologyFile describes a mesh of several clusters to Istio's test framework. It is in the folder of the part's results.
const topologyFile = "topology.json"

// openLab starts a lab for the part, unless one is given.
func openLab(ctx context.Context, p part, wanted order) (*runningLab, error) {
	// Clusters of one mesh have the domain that the suites take for granted: cluster.local.
	recipe := labtest.Recipe{Mode: "multicluster", Clusters: p.clusters, Output: os.Stderr}
	if wanted.present != "" {
		present, err := labtest.Use(wanted.present, recipe)
		if err != nil {
			return nil, err
		}
		return describeLab(present, p)
	}
	if p.network != "" {
		recipe.Flags = append(recipe.Flags, "--network", p.network)
	}
	if wanted.baseline {
		recipe.Flags = append(recipe.Flags, "--without-module")
	}
	progress("part %s: starting a lab of %d clusters", p.name, p.clusters)
	started, err := labtest.Start(ctx, "istio-conformance-", recipe)
	if err != nil {
		return nil, err
	}
	opened, err := describeLab(started, p)
	if err != nil {
		return nil, errors.Join(err, started.Stop(false))
	}
	return opened, nil
}

// describeLab reads which clusters the lab has, of which the part gets as many as it wants.
func describeLab(lab *labtest.Lab, p part) (*runningLab, error) {
	var described struct {
		Clusters []struct {
			Name string `json:"name"`
		} `json:"clusters"`
	}
	content, err := os.ReadFile(filepath.Join(lab.StateDir, "lab.json"))
	if err == nil {
		err = json.Unmarshal(content, &described)
	}
	if err != nil {
		return nil, fmt.Errorf("read what lab is in %s: %w", lab.StateDir, err)
	}
	found := &runningLab{Lab: lab}
	for _, cluster := range described.Clusters {
		found.clusters = append(found.clusters, cluster.Name)
	}
	if len(found.clusters) < p.clusters {
		return nil, fmt.Errorf("the lab in %s has %d clusters, part %s needs %d", lab.StateDir, len(found.clusters), p.name, p.clusters)
	}
	found.clusters = found.clusters[:p.clusters]
	return found, nil
}

func (l *runningLab) kubeconfig(cluster string) string {
	return filepath.Join(l.StateDir, cluster, "kubeconfig")
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
