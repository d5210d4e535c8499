// Package e2e tests the module as a person meets it: on a lab of two clusters
// with real API servers, through bin/lab and those API servers only.
//
// The tests share one lab and run one after the other; each makes what it
// needs, restores what it changes, and can be run alone:
//
//	make build tools
//	go test -tags e2e ./test/e2e -run TestAPublishedService -v
//
// ISTIO_E2E_STATE_DIR names the state dir of a running lab to use instead of a
// fresh one; it is left running.
package e2e
