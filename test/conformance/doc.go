// Command conformance runs suites of tests by others (Gateway API's conformance
// tests, Istio's own integration tests) against clusters in which a lab has
// installed the module, and compares every result with a list that is committed
// beside it: lists/PART.yaml. docs/CONFORMANCE.md describes it.
//
// The suites run as their makers compile them (tools/conformance), in the lab's
// fabric. A part is one suite, or a selection of it, on a lab of its own. It takes
// 40 minutes at most. What a finished part found stays in .cache/conformance/PART.
package main
