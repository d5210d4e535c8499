package testbed

import (
	"context"
	"fmt"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/control"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/fabric"
)

// controlName of the socket in the state dir.
const controlName = control.SocketName

func (l *Lab) serveControl(ctx context.Context) error {
	return control.Serve(ctx, l.options.StateDir, l)
}

// SetLink cuts a link, or mends it.
func (l *Lab) SetLink(ctx context.Context, request control.LinkRequest) error {
	pair, err := fabric.NewPair(l.options.Plan, request.Clusters[0], request.Clusters[1])
	if err != nil {
		return err
	}
	if err := l.fabric.SetCut(ctx, pair, request.Cut); err != nil {
		return err
	}
	return l.refresh()
}

// SetNode stops a node, or starts it.
func (l *Lab) SetNode(_ context.Context, request control.NodeRequest) error {
	for _, c := range l.members {
		for _, node := range c.Plan().Nodes {
			if node.Name != request.Name {
				continue
			}
			set := c.StopNode
			if request.Run {
				set = c.StartNode
			}
			if err := set(request.Name); err != nil {
				return err
			}
			return l.refresh()
		}
	}
	return fmt.Errorf("no node %q: `lab status` names them", request.Name)
}
