// Command bench measures what federation and the API proxy cost as a mesh grows:
// how fast a change travels, what operator and exporter use, and what is
// written to the API server. It prints figures beside targets and asserts
// nothing about speed: how fast a machine is, is no property of the code.
//
// What concerns federation runs on labs of real nodes (bin/lab), each new. The
// program starts a lab and then runs itself in the lab's fabric, on an errand:
// there it serves the peers' documents, which change when the benchmark says so,
// so that nothing of the peers competes with what is measured but their answers.
// What programs use is the kubelet's account, and the exporter's own metrics.
// The part request has two federated clusters, the demonstration's Service in one
// and its client in the other. The API proxy is measured before an API server of
// its own (test/guarded), beside kubectl proxy.
package main
