// Package mesh asks istiod what a sidecar asks it, for what requests through
// real sidecars do not show: all endpoints that a cluster has, and those it has
// not, how they are addressed, how requests are shared out, what is known of a
// peer while no request is on its way, which certificate a workload gets.
//
// A Proxy is the identity, Dial… the way to istiod, Connect opens its stream
// and Await returns the first View (everything that a proxy has received, complete as
// Envoy would need it to serve) that fulfils a condition. SignCSR is the other
// half of a sidecar: its certificate.
package mesh
