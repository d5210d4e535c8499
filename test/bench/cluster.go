package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// cluster of a lab, as it is reached from the lab's fabric.
type cluster struct {
	description
	kubeconfig string
	config     *rest.Config
	typed      kubernetes.Interface
	dynamic    dynamic.Interface
}

// description is the part of lab.json that is needed here.
type description struct {
	Name             string `json:"name"`
	ClusterDomain    string `json:"clusterDomain"`
	ClusterUUID      string `json:"clusterUUID"`
	MetadataEndpoint string `json:"metadataEndpoint"`
}

// readClusters of the lab in the state dir.
func readClusters(stateDir string) ([]*cluster, error) {
	var described struct {
		Clusters []description `json:"clusters"`
	}
	content, err := os.ReadFile(filepath.Join(stateDir, "lab.json"))
	if err == nil {
		err = json.Unmarshal(content, &described)
	}
	if err == nil && len(described.Clusters) == 0 {
		err = errors.New("it has no clusters")
	}
	if err != nil {
		return nil, fmt.Errorf("read lab.json of the lab in %s: %w", stateDir, err)
	}
	var clusters []*cluster
	for _, one := range described.Clusters {
		c := &cluster{description: one, kubeconfig: filepath.Join(stateDir, one.Name, "kubeconfig")}
		if err := c.connect(); err != nil {
			return nil, err
		}
		clusters = append(clusters, c)
	}
	return clusters, nil
}

func (c *cluster) connect() (err error) {
	if c.config, err = clientcmd.BuildConfigFromFlags("", c.kubeconfig); err != nil {
		return fmt.Errorf("read the kubeconfig of %s: %w", c.Name, err)
	}
	c.config.QPS = -1
	if c.typed, err = kubernetes.NewForConfig(c.config); err != nil {
		return fmt.Errorf("make a client of %s: %w", c.Name, err)
	}
	if c.dynamic, err = dynamic.NewForConfig(c.config); err != nil {
		return fmt.Errorf("make a client of %s: %w", c.Name, err)
	}
	return nil
}
