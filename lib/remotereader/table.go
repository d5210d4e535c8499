// Package remotereader is the one table of the requests that a peer's istiod may
// send to this cluster's API server: those by which it reads a remote cluster, and
// no others. The API proxy allows by it, the proxy's ClusterRole is compared with
// it, and tests walk through it.
//
// It was taken from Istio's sources (1.29, 1.30 and 1.31: the informers of
// pilot/pkg/serviceregistry/kube/controller, pkg/kube/multicluster,
// pkg/kube/kclient and pilot/pkg/credentials/kube that get a remote client), and
// compared with the requests of the three in the lab:
//
//   - Each lists and watches everything readable, Secrets, and the ConfigMap of
//     its mesh configuration. gateways are asked for where the Gateway API is
//     installed: as v1, and as v1beta1 by older versions, which a peer may run.
//   - None gets a single object or a discovery document. Peers may count on both, and
//     neither reveals more than the lists do. The module's own check of a peer's API
//     asks for /version.
//   - Reviews are asked for only when a proxy of this cluster connects to the peer's
//     istiod: that has the proxy's token reviewed here, and, for a gateway with
//     certificates of its own, whether it may read them.
//   - The multi-cluster services API is missing: istiod asks for it only with
//     ENABLE_MCS_SERVICE_DISCOVERY, an experiment that the module leaves off.
package remotereader

import (
	"regexp"
	"slices"

	"github.com/deckhouse-mesh/istio/lib/istioversion"
)

// Resource is a resource of the API, in one or more versions of its group.
type Resource struct {
	// Group is empty for the core group.
	Group string
	// Versions of the group that any supported Istio asks for.
	Versions []string
	// Name in the plural, as in paths: "pods".
	Name string
	// Namespaced is false for resources of cluster scope.
	Namespaced bool
}

// Is reports whether r is the resource in that group and version.
func (r Resource) Is(group, version, name string) bool {
	return r.Group == group && r.Name == name && slices.Contains(r.Versions, version)
}

var v1 = []string{"v1"}

// readable can be asked for with get, list and watch.
var readable = []Resource{
	// The service registry.
	{"", v1, "namespaces", false},
	{"", v1, "nodes", false},
	{"", v1, "pods", true},
	{"", v1, "services", true},
	{"discovery.k8s.io", v1, "endpointslices", true},
	// Read before what depends on a definition, by its metadata.
	{"apiextensions.k8s.io", v1, "customresourcedefinitions", false},
	// VMs of the remote cluster; gateways of its network.
	{"networking.istio.io", v1, "workloadentries", true},
	{"gateway.networking.k8s.io", []string{"v1", "v1beta1"}, "gateways", true},
}

// reviews can be created, which stores nothing: the API server answers a question.
var reviews = []Resource{
	{"authentication.k8s.io", v1, "tokenreviews", false},
	{"authorization.k8s.io", v1, "subjectaccessreviews", false},
}

// Secrets look empty: a list has none, and a watch gets none. istiod does not
// treat a remote cluster as synced before it has listed them.
var Secrets = Resource{"", v1, "secrets", true}

// ConfigMaps can be read one by one, by the names that MeshConfigMap knows, in
// the namespace of the control plane alone.
var ConfigMaps = Resource{"", v1, "configmaps", true}

// Readable are the resources for get, list and watch.
func Readable() []Resource { return slices.Clone(readable) }

// Reviews are the resources for create.
func Reviews() []Resource { return slices.Clone(reviews) }

// defaultMeshConfigMap is the mesh configuration of an istiod without a revision.
const defaultMeshConfigMap = "istio"

var revisionedMeshConfigMap = regexp.MustCompile(`^istio-v[0-9]{1,3}x[0-9]{1,3}$`)

// MessagePrefix begins the message of every answer that the proxy gives by itself
// instead of asking the API server, so that people and tests can tell them apart.
const MessagePrefix = "istio api-proxy: "

// MeshConfigOwner is whose mesh configuration a ConfigMap has.
type MeshConfigOwner int

const (
	// NoMeshConfig is any other ConfigMap.
	NoMeshConfig MeshConfigOwner = iota
	// ForeignMeshConfig is of a revision that this module never installs. A peer's
	// istiod of that revision asks for it; it does not exist.
	ForeignMeshConfig
	// OwnMeshConfig is of a revision that this module may install.
	OwnMeshConfig
)

// MeshConfigMap returns the owner of a ConfigMap of the control plane's namespace.
// istiod reads the one of a remote cluster that has the same name as its own,
// "istio-<revision>".
func MeshConfigMap(name string) MeshConfigOwner {
	switch {
	case slices.Contains(meshConfigMaps, name):
		return OwnMeshConfig
	case revisionedMeshConfigMap.MatchString(name):
		return ForeignMeshConfig
	default:
		return NoMeshConfig
	}
}

// MeshConfigMaps are the names for which MeshConfigMap returns OwnMeshConfig.
func MeshConfigMaps() []string { return slices.Clone(meshConfigMaps) }

var meshConfigMaps = func() []string {
	names := []string{defaultMeshConfigMap}
	for _, version := range istioversion.All() {
		names = append(names, defaultMeshConfigMap+"-"+version.Revision())
	}
	return names
}()
