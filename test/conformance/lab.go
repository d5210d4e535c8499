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

// openLab starts a lab for the part, unless one is given. What it returns stops what was started here.
func openLab(ctx context.Context, p part, wanted order) (*runningLab, func(failed bool) error, error) {
	if wanted.present != "" {
		dir, err := filepath.Abs(wanted.present)
		if err != nil {
			return nil, nil, err
		}
		opened, err := describeLab(dir)
		return opened, func(bool) error { return nil }, err
	}
	dir, err := os.MkdirTemp("", "istio-conformance-")
	if err != nil {
		return nil, nil, fmt.Errorf("make a folder for the lab: %w", err)
	}
	progress("part %s: starting a lab of %d clusters in %s", p.name, p.clusters, dir)
	// Clusters of one mesh have the domain that the suites take for granted: cluster.local.
	args := []string{"up", "--clusters", strconv.Itoa(p.clusters), "--nodes", "1", "--mode", "multicluster", "--state-dir", dir, "--detach"}
	if wanted.baseline {
		args = append(args, "--without-module")
	}
	if err := lab(ctx, args...); err != nil {
		return nil, nil, errors.Join(err, stopLab(dir, false))
	}
	opened, err := describeLab(dir)
	if err != nil {
		return nil, nil, errors.Join(err, stopLab(dir, false))
	}
	return opened, func(failed bool) error { return stopLab(dir, failed) }, nil
}

func describeLab(dir string) (*runningLab, error) {
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

// kubeconfigs of all clusters, as flags name them.
func (l *runningLab) kubeconfigs() string {
	var files []string
	for _, cluster := range l.clusters {
		files = append(files, l.kubeconfig(cluster))
	}
	return strings.Join(files, ",")
}

// kubectlProgram is what `make tools` builds with the nodes' programs.
var kubectlProgram = filepath.Join(".cache", "tools", "kube", "kubectl")

// kubectl runs a command in every cluster.
func (l *runningLab) kubectl(ctx context.Context, args ...string) error {
	for _, cluster := range l.clusters {
		all := append([]string{"--kubeconfig", l.kubeconfig(cluster)}, args...)
		if output, err := exec.CommandContext(ctx, kubectlProgram, all...).CombinedOutput(); err != nil { //nolint:gosec // the lab's own files
			return fmt.Errorf("kubectl %s in %s: %w: %s", strings.Join(args, " "), cluster, err, strings.TrimSpace(string(output)))
		}
	}
	return nil
}
