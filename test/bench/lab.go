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

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	operatorName = "operator"
	exporterName = "metadata-exporter"
)

// cluster is a lab of one cluster.
type cluster struct {
	stateDir, uuid string
	typed          kubernetes.Interface
	dynamic        dynamic.Interface
}

// labState is the part of lab.json that is needed here.
type labState struct {
	Clusters []struct {
		Name        string `json:"name"`
		ClusterUUID string `json:"clusterUUID"`
		Processes   []struct {
			Name string `json:"name"`
			PID  int    `json:"pid"`
		} `json:"processes"`
	} `json:"clusters"`
}

// startCluster starts a lab that nothing was ever done with. The caller stops it.
func startCluster(ctx context.Context) (_ *cluster, err error) {
	dir, err := os.MkdirTemp("", "istio-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the lab: %w", err)
	}
	c := &cluster{stateDir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	progress("starting a lab in %s", dir)
	if err := lab(ctx, "up", "--clusters", "1", "--state-dir", dir, "--detach"); err != nil {
		return nil, err
	}
	state, err := c.state()
	if err != nil {
		return nil, err
	}
	c.uuid = state.Clusters[0].ClusterUUID
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, state.Clusters[0].Name, "kubeconfig"))
	if err != nil {
		return nil, fmt.Errorf("read the lab's kubeconfig: %w", err)
	}
	config.QPS = -1
	if c.typed, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	if c.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return c, nil
}

func (c *cluster) state() (labState, error) {
	var state labState
	content, err := os.ReadFile(filepath.Join(c.stateDir, "lab.json"))
	if err == nil {
		err = json.Unmarshal(content, &state)
	}
	if err == nil && len(state.Clusters) == 0 {
		err = errors.New("it has no clusters")
	}
	if err != nil {
		return state, fmt.Errorf("read lab.json of the lab in %s: %w", c.stateDir, err)
	}
	return state, nil
}

// process of that name, as it runs now.
func (c *cluster) process(name string) (process, error) {
	state, err := c.state()
	if err != nil {
		return 0, err
	}
	for _, found := range state.Clusters[0].Processes {
		if found.Name == name && found.PID != 0 {
			return process(found.PID), nil
		}
	}
	return 0, fmt.Errorf("the lab in %s has no process %s", c.stateDir, name)
}

// stop the lab; its folder goes with it.
func (c *cluster) stop() error {
	// Even when the benchmark was interrupted.
	if err := lab(context.Background(), "down", "--state-dir", c.stateDir); err != nil {
		return err
	}
	return os.RemoveAll(c.stateDir)
}

// lab runs bin/lab and shows what it says only when it fails.
func lab(ctx context.Context, args ...string) error {
	output, err := exec.CommandContext(ctx, filepath.Join("bin", "lab"), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("bin/lab %s: %w (was it built? `make build tools`): %s", args[0], err, strings.TrimSpace(string(output)))
	}
	return nil
}
