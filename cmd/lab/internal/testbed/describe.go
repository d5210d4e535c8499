package testbed

import (
	"context"
	"os"

	"k8s.io/klog/v2"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/state"
)

// State is the content of lab.json.
func (l *Lab) State() state.Lab { return l.file.Lab() }

// refresh lab.json.
func (l *Lab) refresh() error {
	return l.file.Replace(l.describe())
}

func (l *Lab) describe() state.Lab {
	lab := state.Lab{
		Mode: string(l.options.Plan.Mode), PID: os.Getpid(), Ready: l.ready,
		WithoutModule: l.options.Module == nil,
		Fabric:        &state.Fabric{Address: plan.FabricAddress.String(), Network: l.fabric.Path()},
	}
	if module := l.options.Module; module != nil {
		lab.Module = module.Name
	}
	for _, pair := range l.fabric.Cuts() {
		lab.Fabric.Cuts = append(lab.Fabric.Cuts, pair)
	}
	for _, c := range l.members {
		planned := c.Plan()
		lab.Clusters = append(lab.Clusters, state.Cluster{
			Name: planned.Name, ClusterDomain: planned.Domain, ClusterUUID: c.clusterUUID(),
			APIServer: c.APIServer(), Kubeconfig: c.Kubeconfig(),
			PodSubnet: planned.Pods.String(), ServiceSubnet: planned.Services.String(),
			MetadataEndpoint: metadataEndpoint(planned), MetadataCA: l.PublicCA(),
			APIProxy: "https://istio-api-proxy." + planned.PublicDomain(),
			Nodes:    c.Nodes(),
		})
	}
	return lab
}

func (l *Lab) notifyChange() {
	select {
	case l.changes <- struct{}{}:
	default: // a refresh is due already
	}
}

// keepDescribed keeps lab.json true while nodes come and go.
func (l *Lab) keepDescribed(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.changes:
			if err := l.refresh(); err != nil {
				klog.ErrorS(err, "Write the description of the lab")
			}
		}
	}
}
