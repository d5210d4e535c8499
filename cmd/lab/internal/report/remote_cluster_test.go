package report

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRemoteCluster(t *testing.T) {
	for name, test := range map[string]struct {
		code       int
		body       string
		want, fail string
	}{
		"a cluster that has been read":   {200, `[{"id":"own","syncStatus":"synced"},{"id":"cluster-b","secretName":"d8-istio/x","syncStatus":"synced"}]`, "synced", ""},
		"a cluster that does not answer": {200, `[{"id":"cluster-b","syncStatus":"timeout"}]`, "timeout", ""},
		"a cluster that is not known":    {200, `[{"id":"own","syncStatus":"synced"}]`, "", ""},
		"an istiod that rejects":         {403, ``, "", "403"},
		"an answer of something else":    {200, `<html>`, "", "read istiod's answer"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/debug/clusterz" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				w.WriteHeader(test.code)
				_, _ = io.WriteString(w, test.body)
			}))
			defer server.Close()
			got, err := remoteCluster(t.Context(), server.Client(), server.URL, "cluster-b")
			if got != test.want || (err == nil) != (test.fail == "") || (err != nil && !strings.Contains(err.Error(), test.fail)) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
