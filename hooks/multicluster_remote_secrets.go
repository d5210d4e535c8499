package hooks

import (
	"context"
	"slices"

	sdk "github.com/deckhouse/module-sdk/pkg"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/api/v1alpha1"
	"github.com/deckhouse-mesh/istio/lib/clientcert"
	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/lib/remotecluster"
)

const (
	remoteSecretPrefix = "istio-remote-secret-"
	remoteSecretLabel  = "istio/multiCluster"
)

var (
	remoteKubeconfigsPath = names.ValuesPath("internal.remoteKubeconfigs")
	// replacedKubeconfigsPath lists which kubeconfigs took the place of others, and when.
	replacedKubeconfigsPath = names.ValuesPath("internal.replacedKubeconfigs")
)

// multiclusterRemoteSecrets makes the kubeconfigs with which istiod reads the
// clusters of the same mesh; the templates render a Secret for each, and restart
// those istiods that need it when one is replaced. That happens only for a
// reason (package remotecluster). A new process finds them in the Secrets.
func multiclusterRemoteSecrets() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "multicluster_remote_secrets",
		Config: sdk.HookConfig{
			OnBeforeHelm: at(orderRemoteSecrets),
			Queue:        "/modules/istio/multicluster-remote-secrets",
			Schedule:     []sdk.ScheduleConfig{{Name: "renewal", Crontab: "37 * * * *"}},
			Kubernetes: []sdk.KubernetesConfig{
				multiclustersBinding(),
				federationKind().identitiesBinding(),
				// What the templates made of the values.
				withoutEvents(sdk.KubernetesConfig{
					Name:              "rendered",
					APIVersion:        "v1",
					Kind:              "Secret",
					NamespaceSelector: inNamespace(names.Namespace),
					LabelSelector:     labelled(remoteSecretLabel),
					JqFilter:          `{name: .metadata.name, data: (.data // {})}`,
				}),
			},
		},
		Run: runMulticlusterRemoteSecrets,
	}
}

func runMulticlusterRemoteSecrets(_ context.Context, in *sdk.HookInput) error {
	kubeconfigs, replaced := map[string]string{}, []string{}
	use := func(name, kubeconfig string) {
		kubeconfigs[name] = kubeconfig
		if serial := remotecluster.Replaced([]byte(kubeconfig)); serial != "" {
			replaced = append(replaced, name+" "+serial)
		}
	}
	if multiclusterKind().enabled(in) {
		caller, err := caller(in)
		if err != nil {
			return err
		}
		if caller.PrivateKey == "" {
			return nil // the schedule came before the first run of hook remote_authn_keypair
		}
		known, err := knownKubeconfigs(in)
		if err != nil {
			return err
		}
		accepted, err := acceptedMulticlusters(in, federationKind().identities)
		if err != nil {
			return err
		}
		for _, resource := range accepted {
			if !reachable(resource) {
				continue
			}
			if known[resource.Name] != "" && doubtful(resource) {
				use(resource.Name, known[resource.Name])
				continue
			}
			kubeconfig, err := remotecluster.Renew([]byte(known[resource.Name]), remotePeer(resource), caller, in.DC.GetClock().Now())
			if err != nil {
				return err
			}
			if string(kubeconfig) != known[resource.Name] {
				in.Logger.Info("made a kubeconfig for the API of a peer", "name", resource.Name)
			}
			use(resource.Name, string(kubeconfig))
		}
	}
	slices.Sort(replaced)
	in.Values.Set(remoteKubeconfigsPath, kubeconfigs)
	in.Values.Set(replacedKubeconfigsPath, replaced)
	return nil
}

// reachable is true when istiod may learn of the peer's Pods: without a gateway
// it would send requests to addresses that only the peer can reach.
func reachable(resource *v1alpha1.IstioMulticluster) bool {
	private := resource.Status.MetadataCache.Private
	return private != nil && (!resource.Spec.EntersByGateway() || len(private.IngressGateways) > 0)
}

// doubtful is true while the peer has not answered under the present spec: a
// changed spec.metadata may be wrong, and with it istiod could not read the peer
// any more, which it can with the present kubeconfig.
func doubtful(resource *v1alpha1.IstioMulticluster) bool {
	fetched := meta.FindStatusCondition(resource.Status.Conditions, v1alpha1.ConditionPublicMetadata)
	return fetched != nil && (fetched.Status != metav1.ConditionTrue || fetched.ObservedGeneration != resource.Generation)
}

func remotePeer(resource *v1alpha1.IstioMulticluster) remotecluster.Peer {
	return remotecluster.Peer{
		Name:        resource.Name,
		ClusterUUID: resource.Status.MetadataCache.Public.ClusterUUID,
		APIHost:     resource.Status.MetadataCache.Private.APIHost,
		CA:          resource.Spec.Metadata.CA, InsecureSkipVerify: resource.Spec.Metadata.InsecureSkipVerify,
	}
}

// caller is this cluster, from the values; its key is empty before the first run of hook remote_authn_keypair.
func caller(in *sdk.HookInput) (remotecluster.Caller, error) {
	this, err := self(in)
	if err != nil {
		return remotecluster.Caller{}, err
	}
	var certificate clientcert.Certificate
	if err := settings(in, clientCertificatePath, &certificate); err != nil {
		return remotecluster.Caller{}, err
	}
	return remotecluster.Caller{
		ClusterUUID: this.ClusterUUID, PrivateKey: in.Values.Get(names.ValuesPath("internal.remoteAuthnKeypair.priv")).String(), Certificate: certificate,
	}, nil
}

// knownKubeconfigs are those of the values, else the rendered ones, by the name of the resource.
func knownKubeconfigs(in *sdk.HookInput) (map[string]string, error) {
	known := map[string]string{}
	rendered, err := snapshot[struct {
		Name string     `json:"name"`
		Data secretData `json:"data"`
	}](in, "rendered")
	if err != nil {
		return nil, err
	}
	for _, found := range rendered {
		for name, kubeconfig := range found.Data {
			if found.Name == remoteSecretPrefix+name {
				known[name] = string(kubeconfig)
			}
		}
	}
	return known, settings(in, remoteKubeconfigsPath, &known)
}
