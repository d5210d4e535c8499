// Package report describes the state of a lab: what runs, what the clusters know of each
// other, and, for everything that is not as expected, what to look at.
package report

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/kube"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// requestTimeout for each API server: one that does not answer must not hold up the report.
const requestTimeout = 5 * time.Second

// Lab is the report on a lab.
type Lab struct {
	StateDir string `json:"stateDir"`
	// Running is whether the lab itself runs, PID its process.
	Running bool   `json:"running"`
	PID     int    `json:"pid"`
	Mode    string `json:"mode"`
	// OK is whether every expectation is met.
	OK       bool      `json:"ok"`
	Clusters []Cluster `json:"clusters"`
}

// Cluster is the report on one cluster.
type Cluster struct {
	Name          string         `json:"name"`
	APIServer     string         `json:"apiServer"`
	ClusterDomain string         `json:"clusterDomain"`
	ClusterUUID   string         `json:"clusterUUID"`
	Kubeconfig    string         `json:"kubeconfig"`
	Nodes         []Node         `json:"nodes,omitempty"`
	Federations   []Federation   `json:"federations"`
	Multiclusters []Multicluster `json:"multiclusters"`
	Checks        []Check        `json:"checks"`
}

// Federation is what the cluster reports of one peer of another domain.
type Federation struct {
	Peer
	ImportedServices int64 `json:"importedServices"`
	RejectedServices int   `json:"rejectedServices"`
}

// Check is one expectation.
type Check struct {
	// Name is what should be so.
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Message says how it is instead, Hint what to do about it.
	Message string `json:"message,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// New looks at a lab. It needs lab.json only: what does not answer is reported, not an error.
func New(ctx context.Context, dir string) (*Lab, error) {
	holder, err := state.Holder(dir)
	if err != nil {
		return nil, err
	}
	described, err := state.Read(dir)
	if err != nil {
		if holder != 0 {
			return nil, fmt.Errorf("the lab in %s (pid %d) is still starting or already stopping; with --detach its progress is in %s/lab.log", dir, holder, dir)
		}
		return nil, err
	}
	lab := &Lab{StateDir: dir, Running: holder == described.PID, PID: described.PID, Mode: described.Mode, OK: true}
	for _, cluster := range described.Clusters {
		reported := newCluster(ctx, cluster, moduleOf(described))
		reported.Checks = append(cutCheck(cluster.Name, described.Fabric), reported.Checks...)
		lab.Clusters = append(lab.Clusters, reported)
	}
	lab.OK = lab.Running
	for _, cluster := range lab.Clusters {
		for _, check := range cluster.Checks {
			lab.OK = lab.OK && check.OK
		}
	}
	return lab, nil
}

func newCluster(ctx context.Context, described state.Cluster, module string) Cluster {
	cluster := Cluster{
		Name: described.Name, APIServer: described.APIServer, ClusterDomain: described.ClusterDomain,
		ClusterUUID: described.ClusterUUID, Kubeconfig: described.Kubeconfig,
		Federations: []Federation{}, Multiclusters: []Multicluster{},
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	cluster.Checks = append(cluster.Checks, cluster.ask(ctx, described, module)...)
	return cluster
}

// moduleOf is the name of the lab's module; empty where it has none.
func moduleOf(described *state.Lab) string {
	if described.WithoutModule {
		return ""
	}
	return cmp.Or(described.Module, names.Embedded) // older labs have no name in lab.json
}

// ask asks the API server about the module; an empty name: there is none.
func (c *Cluster) ask(ctx context.Context, described state.Cluster, module string) []Check {
	answers := Check{Name: "the API server answers", OK: true}
	clients, err := kube.New(c.Kubeconfig)
	if err == nil {
		_, err = clients.Typed.CoreV1().Namespaces().Get(ctx, "kube-system", metav1.GetOptions{})
	}
	if err != nil {
		return []Check{{Name: answers.Name, Message: err.Error(), Hint: "see the logs of kube-apiserver and etcd beside " + c.Kubeconfig}}
	}
	checks := append([]Check{answers}, c.askNodes(ctx, clients, described.Nodes)...)
	checks = append(checks, podsCheck(ctx, clients, c.Kubeconfig))
	if module == "" {
		return checks
	}
	if config, err := clients.Dynamic.Resource(kube.ModuleConfigs).Get(ctx, module, metav1.GetOptions{}); err == nil {
		checks = append(checks, settingsCheck(module, config))
	}
	checks = append(checks, istiodChecks(ctx, clients, c.Kubeconfig)...)
	federations, err := clients.Dynamic.Resource(kube.IstioFederations).List(ctx, metav1.ListOptions{})
	if err != nil {
		return append(checks, Check{
			Name: "the module's resources are installed", Message: err.Error(),
			Hint: "is module " + module + " enabled? the operator's log says what it waits for",
		})
	}
	for i := range federations.Items {
		federation := newFederation(&federations.Items[i])
		c.Federations = append(c.Federations, federation)
		checks = append(checks, c.peerCheck(federation.Peer, "the federation with "+federation.Name+" works", "istiofederation"))
	}
	return append(checks, c.askMulticlusters(ctx, clients)...)
}

func settingsCheck(module string, config *unstructured.Unstructured) Check {
	check := Check{Name: "the settings of module " + module + " are accepted", OK: true}
	message, _, _ := unstructured.NestedString(config.Object, "status", "message")
	switch {
	case strings.HasPrefix(message, "Warning: "):
		check.Message = message
	case message != "":
		check.OK, check.Message, check.Hint = false, message, "correct it with `kubectl edit moduleconfig "+module+"`"
	}
	return check
}

func newFederation(resource *unstructured.Unstructured) Federation {
	federation := Federation{Peer: newPeer(resource)}
	federation.ImportedServices, _, _ = unstructured.NestedInt64(resource.Object, "status", "importedServices")
	rejected, _, _ := unstructured.NestedSlice(resource.Object, "status", "rejectedServices")
	federation.RejectedServices = len(rejected)
	return federation
}
