package kubelet

import "net/netip"

// Program runs in a container's stead.
type Program struct {
	// Path of the file to run.
	Path string
	// Process is the name that people know the process by; empty for the container's own.
	Process string
	// Args are added behind those of the container: what a program must be told
	// because here it has no network and no file system to itself. May be nil.
	Args func(Place) []string
	// Env is added behind the container's environment, as "NAME=value"; may be nil.
	Env []string
	// APIServer is the URL at which the program finds the API; empty for the cluster's own.
	APIServer string
}

// Place is where a Pod runs.
type Place struct {
	// Address is the Pod's own, the only one its processes should listen on.
	Address netip.Addr
	// Kubeconfig is a file with the identity of the Pod's ServiceAccount; it
	// does not exist when the Pod mounts no token.
	Kubeconfig string
}
