// Package answer answers the calls of peers, which arrive through the Pod's sidecar.
package answer

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/deckhouse-mesh/istio/lib/healthcheck"
)

// NewHandler answers every request alike: with status 200, and which cluster answers. Nothing of the request is read.
func NewHandler(clusterUUID string) (http.Handler, error) {
	body, err := json.Marshal(map[string]string{"clusterUUID": clusterUUID})
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	body = append(body, '\n')
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(healthcheck.ClusterHeader, clusterUUID)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}), nil
}
