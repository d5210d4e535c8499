// Package guarded runs the API proxy in front of an API server that nothing
// else uses: etcd and kube-apiserver of `make tools`, bin/api-proxy, and one
// peer that proves itself with a token. Its tests (`make test-api-proxy`)
// ask for everything that the API server has; the benchmark measures with it.
package guarded
