// Package e2e tests the module as a person meets it: on labs of clusters with
// real nodes, through bin/lab, the clusters' API servers, and requests that Pods
// send each other.
//
// Everything needs root. The program has two lives (TestMain): outside it starts
// the labs that the chosen tests need, one after the other, and runs itself in
// the fabric of each by `lab exec`, where API servers, gateways and public names
// answer and Pods reach the tests' own servers.
//
//	make build tools images
//	go test -tags e2e ./test/e2e -run TestAPublishedService -v
//
// The tests of one lab run one after the other; each makes what it needs,
// restores what it changes, and can be run alone. TestMulticluster has a lab of
// its own with two clusters of one mesh and a third that is federated with one
// of them; all others share a lab of two federated clusters. ISTIO_E2E_STATE_DIR
// names the state dir of a running lab to use where its mode fits; it is left
// running. Tests of the lab itself are in test/lab.
//
// Programs are stopped and killed as they would be by a machine: in a node's own
// namespaces, by their process ids outside of them. What comes of it is read from
// the API.
package e2e
