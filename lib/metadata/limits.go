package metadata

// What a cluster accepts of a peer. A publisher applies the same limits, so
// that one Service too many costs that Service and not the whole document.
const (
	// MaxServices is how many published services of one peer are used.
	MaxServices = 20_000
	// MaxServicePorts is how many ports of one service are used; Istio's CRD accepts no more on an endpoint.
	MaxServicePorts = 128
	// MaxPortNameLength in characters: Istio's CRD accepts no longer name on an endpoint.
	MaxPortNameLength = 62
	// MaxEndpointPorts bounds the ServiceEntries of one peer together: each has every port once for every gateway. A peer
	// within all other bounds could otherwise fill a cluster's etcd. At some 40 bytes each it is about 20 MB.
	MaxEndpointPorts = 500_000
	// MaxHostnameLength in characters, as DNS has it.
	MaxHostnameLength = 253
	// MaxServiceAccounts is how many identities may answer for one service.
	MaxServiceAccounts = 64
	// MaxIngressGateways is how many gateways a cluster publishes, and how many of a peer's it uses: every sidecar
	// gets each of them for each Service, and more add no availability.
	MaxIngressGateways = 32
	// MaxFederationBytes bounds a federation document after decompression, the others bound the other documents.
	MaxFederationBytes   = 16 << 20
	maxPublicBytes       = 256 << 10
	maxMulticlusterBytes = 256 << 10
	// MaxCacheBytes is how much of a peer's private metadata fits into the status of its resource, compressed where it is
	// long: etcd accepts 1.5 MiB for a whole object, and half a MiB is left for the rest of it.
	MaxCacheBytes = 1 << 20
	// MaxObjects bounds the JSON objects in a document: a few bytes each on the wire are many in memory.
	MaxObjects = 200_000
	// MaxValues bounds the elements of its lists and objects altogether: `null` and `0` are enough to make one.
	MaxValues = 1_500_000
)
