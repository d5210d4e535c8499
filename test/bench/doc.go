// Command bench measures what federation and the API proxy cost as a mesh grows:
// how fast a change travels, what operator and exporter use, and what is
// written to the API server. It prints figures beside targets and asserts
// nothing about speed: how fast a machine is, is no property of the code.
//
// What concerns federation runs on a lab (bin/lab) of one cluster. Its peers
// are served by this process: their documents change when the benchmark says
// so, and nothing of them competes with what is measured but their answers.
// The API proxy is measured before an API server of its own (test/guarded),
// beside kubectl proxy.
package main
