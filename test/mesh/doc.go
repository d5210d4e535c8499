// Package mesh asks istiod what a sidecar asks it, so that a test can say in
// the words of the mesh what the data plane would do: which endpoints a
// cluster has and how they are spoken to, what is let in and by which rule,
// where a request goes, which certificate a workload gets, whom it trusts.
//
// A Proxy says who asks, Dial… how it reaches istiod, Connect opens its stream
// and Await returns the first View (all that a proxy has been told, complete as
// Envoy would need it to serve) that fulfils a condition. SignCSR is the other
// half of a sidecar: its certificate.
package mesh
