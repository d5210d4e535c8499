package main

import (
	"context"
	"fmt"
)

// sentMetric is the API server's own account of the bodies that it is sent.
const sentMetric = "apiserver_request_body_size_bytes"

// sent is how many bytes the API server was sent, in bodies of requests for the
// resources of the ledger, since it started. What leaders renew is left out.
func (c *cluster) sent(ctx context.Context) (bodies int, err error) {
	text, err := c.typed.CoreV1().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the API server's metrics: %w", err)
	}
	families, err := parseMetrics(text)
	if err != nil {
		return 0, fmt.Errorf("the API server: %w", err)
	}
	family, found := families[sentMetric]
	if !found {
		return 0, fmt.Errorf("the API server has no metric %s", sentMetric)
	}
	for _, each := range family.GetMetric() {
		labels := map[string]string{}
		for _, label := range each.GetLabel() {
			labels[label.GetName()] = label.GetValue()
		}
		for _, resource := range written {
			if labels["group"] == resource.Group && labels["resource"] == resource.Resource && (labels["resource"] != "configmaps" || labels["verb"] != "update") {
				bodies += int(each.GetHistogram().GetSampleSum())
			}
		}
	}
	return bodies, nil
}
