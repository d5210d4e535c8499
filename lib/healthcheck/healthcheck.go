// Package healthcheck is what alliance-healthcheck, which calls every peer through
// the mesh, and the hooks that report the outcome agree on.
package healthcheck

import (
	"regexp"
	"strings"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
)

const (
	// Name is that of the program, its Deployment and its identity; the name of its Service continues with the cluster's UUID.
	Name = "alliance-healthcheck"
	// TargetsConfigMap has what to call, below TargetsKey: a list of Targets in JSON.
	TargetsConfigMap = Name
	// TargetsKey is the key in TargetsConfigMap.
	TargetsKey = "targets.json"
	// ReportsConfigMap has a Report of each Pod, below the Pod's name. Only the program writes it.
	ReportsConfigMap = Name + "-reports"
	// ClusterHeader of an answer has the UUID of the cluster that answered.
	ClusterHeader = "X-Alliance-Healthcheck-Cluster"
)

// Target is one peer to call.
type Target struct {
	// Kind and Name are those of the resource that describes the peer.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// ClusterUUID of the peer, which is to answer.
	ClusterUUID string `json:"clusterUUID"`
	// Host is the peer's Service.
	Host string `json:"host"`
}

// Key distinguishes the targets in a report.
func (t Target) Key() string { return Key(t.Kind, t.Name) }

// Key of the peer that a resource describes.
func Key(kind, name string) string { return kind + "/" + name }

// usableUUID has the UUIDs that can end the name of a Service.
var usableUUID = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?$`)

// Hostname is that of a cluster's Service; "" for a UUID that cannot be a part of one, of which no cluster has a Service.
func Hostname(clusterUUID, clusterDomain string) string {
	if !usableUUID.MatchString(clusterUUID) {
		return ""
	}
	return Name + "-" + clusterUUID + "." + v1alpha1.Namespace + ".svc." + clusterDomain
}

// IsHostname is true for the hostname of some cluster's Service.
func IsHostname(hostname string) bool {
	name, rest, _ := strings.Cut(hostname, ".")
	return strings.HasPrefix(name, Name+"-") && strings.HasPrefix(rest, v1alpha1.Namespace+".svc.")
}
