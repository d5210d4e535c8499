package requests

import (
	"net/http"
	"net/url"
	"testing"
)

func TestClusterLocalServicesAreNotListed(t *testing.T) {
	const kept = "!multicluster.istio.deckhouse.io/cluster-local"
	for target, want := range map[string]string{
		"/api/v1/services": kept,
		"/api/v1/namespaces/shop/services?watch=true":                          kept,
		"/apis/discovery.k8s.io/v1/endpointslices?watch=true":                  kept,
		"/api/v1/services?labelSelector=" + url.QueryEscape("app in (a,b),!c"): kept + ",app in (a,b),!c",
		"/api/v1/services?labelSelector=":                                      kept,
		"/api/v1/pods?labelSelector=a":                                         "a",
		"/api/v1/namespaces":                                                   "",
		"/api/v1/namespaces/shop/services/web":                                 "",
		"/apis/networking.istio.io/v1/workloadentries?labelSelector=a%3Db":     "a=b",
	} {
		request, rejection := judge.Judge(http.MethodGet, target)
		if rejection != nil {
			t.Errorf("GET %s: %+v", target, rejection)
			continue
		}
		if got := request.Query.Get("labelSelector"); got != want {
			t.Errorf("GET %s selects %q, want %q", target, got, want)
		}
	}
}
