package testbed

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/cluster"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/install"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/pki"
	"github.com/deckhouse-mesh/istio/cmd/lab/internal/plan"
	"github.com/deckhouse-mesh/istio/lib/await"
)

const (
	// identityTimeout bounds the wait for the UUID that the operator gives a cluster when it starts.
	identityTimeout = time.Minute
	// identityConfigMap of kube-system has it under identityKey.
	identityConfigMap, identityKey = "d8-cluster-uuid", "cluster-uuid"
)

// Module that is installed in every cluster.
type Module struct {
	// Name by which its ModuleConfig is called.
	Name string
	// OperatorImage is the reference of the operator's image.
	OperatorImage string
	// ImagesDigests, when not empty, take the place of those in the operator's image.
	ImagesDigests []byte
	// Arguments of the operator besides its defaults.
	Arguments []string
	// HooksAreProcesses is true where none is linked into the operator.
	HooksAreProcesses bool
	// StockEnvoy is true where the proxies' Envoy lacks Istio's extensions.
	StockEnvoy bool
	// Settings are a person's own, YAML, for spec.settings of its ModuleConfig.
	Settings []byte
}

// member is a cluster with what the module's installation knows of it.
type member struct {
	*cluster.Cluster
	install *install.Cluster
	// uuid that the operator has given the cluster; empty, or absent, before.
	uuid atomic.Value
}

// clusterUUID is empty until it is known.
func (m *member) clusterUUID() string {
	uuid, _ := m.uuid.Load().(string)
	return uuid
}

// prepareModule decides how the module is installed in a cluster.
func (l *Lab) prepareModule(c *cluster.Cluster, certificate pki.Pair) (*install.Cluster, error) {
	module := l.options.Module
	settings, err := install.Settings(kinds(c.Plan().Needs), module.Settings)
	if err != nil {
		return nil, err
	}
	return &install.Cluster{
		ModuleName: module.Name, StockEnvoy: module.StockEnvoy, HooksAreProcesses: module.HooksAreProcesses,
		Clients: c.Clients(), Image: module.OperatorImage, ImagesDigests: module.ImagesDigests, Arguments: module.Arguments,
		PublicDomainTemplate: c.Plan().PublicDomainTemplate(), Certificate: certificate, Authority: l.public.PEM, Settings: settings,
	}, nil
}

func kinds(modes []plan.Mode) []install.Kind {
	var kinds []install.Kind
	for _, mode := range modes {
		kinds = append(kinds, install.Kind(mode))
	}
	return kinds
}

// installOperator in a cluster, and learns the UUID that the cluster gets by that.
func (l *Lab) installOperator(ctx context.Context, m *member) error {
	err := l.options.Reporter.Step(m.Plan().Name, "operator ready", "", func(note func(string)) error {
		return m.install.Operator(ctx, install.Note(seldom(note)))
	})
	if err != nil {
		return err
	}
	defer l.notifyChange()
	return await.Until(ctx, identityTimeout, func(ctx context.Context) (bool, string, error) {
		config, err := m.Clients().Typed.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, identityConfigMap, metav1.GetOptions{})
		if err != nil {
			return await.NotYet(err)
		}
		uuid := config.Data[identityKey]
		m.uuid.Store(uuid)
		return uuid != "", fmt.Sprintf("ConfigMap %s/%s has no %s", metav1.NamespaceSystem, identityConfigMap, identityKey), nil
	})
}

// installModule in a cluster whose operator works.
func (l *Lab) installModule(ctx context.Context, m *member) error {
	return l.options.Reporter.Step(m.Plan().Name, "module ready", "", func(note func(string)) error {
		return m.install.Module(ctx, install.Note(seldom(note)))
	})
}

// addPeers to all clusters whose settings allow it, and wait until the clusters report them ready.
func (l *Lab) addPeers(ctx context.Context) error {
	for _, kind := range []install.Kind{install.Federation, install.Multicluster} {
		off := slices.ContainsFunc(l.members, func(m *member) bool {
			return slices.Contains(kinds(m.Plan().Needs), kind) && !install.Enabled(m.install.Settings, kind)
		})
		if off {
			l.options.Reporter.Printf("the settings switch %s off: the clusters have no such peers", kind)
		}
	}
	err := l.forEachPeer(ctx, func(ctx context.Context, m, peer *member, kind install.Kind) error {
		to := install.Peer{Name: peer.Plan().Name, MetadataEndpoint: metadataEndpoint(peer.Plan()), Authority: l.public.PEM}
		if kind == install.Federation {
			to.TrustDomain = peer.Plan().Domain
		}
		return m.install.AddPeer(ctx, kind, to)
	})
	if err != nil {
		return err
	}
	return l.forEachPeer(ctx, func(ctx context.Context, m, peer *member, kind install.Kind) error {
		done := map[install.Kind]string{install.Federation: "federated with ", install.Multicluster: "in one mesh with "}[kind]
		return l.options.Reporter.Step(m.Plan().Name, done+peer.Plan().Name, "", func(note func(string)) error {
			return m.install.AwaitPeer(ctx, kind, peer.Plan().Name, install.Note(seldom(note)))
		})
	})
}

// forEachPeer that is planned and that the settings allow.
func (l *Lab) forEachPeer(ctx context.Context, do func(ctx context.Context, m, peer *member, kind install.Kind) error) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, m := range l.members {
		for _, peer := range l.members {
			kind := install.Kind(m.Plan().Peers[peer.Plan().Name])
			if kind != "" && install.Enabled(m.install.Settings, kind) {
				all.Go(func() error { return do(ctx, m, peer, kind) })
			}
		}
	}
	return all.Wait()
}

// metadataEndpoint is the address at which peers ask the cluster for its metadata.
func metadataEndpoint(planned *plan.Cluster) string {
	return "https://istio." + planned.PublicDomain() + "/metadata/"
}
