package kubelet

import (
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
)

// Process is one container that runs, or should.
type Process struct {
	// Name of the process, Pod as namespace/name.
	Name, Pod string
	Log       string
	Status    process.Status
}

// Processes of the cluster's Pods, ordered by Pod.
func (k *Kubelet) Processes() []Process {
	var result []Process
	for _, instance := range k.running() {
		k.mu.Lock()
		containers := instance.containers
		k.mu.Unlock()
		for _, c := range containers {
			result = append(result, Process{Name: c.process, Pod: instance.key.String(), Log: c.log, Status: c.keeper.Status()})
		}
	}
	return result
}
