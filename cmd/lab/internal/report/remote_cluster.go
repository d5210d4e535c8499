package report

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// synced is what istiod says of a remote cluster that it has read.
const synced = "synced"

// remoteCluster is what istiod at that debug address says of the remote cluster,
// as `istioctl remote-clusters` shows it: synced, syncing, timeout, closed; empty
// when it does not know the cluster.
func remoteCluster(ctx context.Context, client *http.Client, debug, name string) (status string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, debug+"/debug/clusterz", nil)
	if err != nil {
		return "", fmt.Errorf("ask istiod for its remote clusters: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("ask istiod for its remote clusters: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("ask istiod for its remote clusters: GET %s: %s", request.URL, response.Status)
	}
	var clusters []struct {
		ID         string `json:"id"`
		SyncStatus string `json:"syncStatus"`
	}
	if err := json.NewDecoder(response.Body).Decode(&clusters); err != nil {
		return "", fmt.Errorf("read istiod's answer to GET %s: %w", request.URL, err)
	}
	for _, cluster := range clusters {
		if cluster.ID == name {
			return cluster.SyncStatus, nil
		}
	}
	return "", nil
}
