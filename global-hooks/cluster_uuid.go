package globalhooks

import (
	"cmp"
	"context"
	"fmt"
	"regexp"

	"github.com/deckhouse/module-sdk/pkg"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
)

// Where Deckhouse keeps the identity of a cluster; keeping it in the same place
// lets a cluster move to Deckhouse without becoming somebody else.
const (
	uuidNamespace = "kube-system"
	uuidName      = "d8-cluster-uuid"
	uuidKey       = "cluster-uuid"
	// domainKey is this module's own, of no meaning to Deckhouse.
	domainKey = "cluster-domain"
)

var validUUID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// clusterUUID publishes the identity of the cluster, created once and kept.
func clusterUUID() hookruntime.Hook {
	return hookruntime.Hook{
		Name: "cluster_uuid",
		Config: pkg.HookConfig{
			Kubernetes: []pkg.KubernetesConfig{object("uuid", "ConfigMap", uuidNamespace, uuidName, `.data["`+uuidKey+`"] // ""`)},
		},
		Run: func(ctx context.Context, in *pkg.HookInput) error {
			stored, err := text(in, "uuid")
			if err != nil {
				return err
			}
			if stored == "" {
				// One that was known before, when somebody deleted the ConfigMap, goes on.
				known := in.Values.Get("global.discovery.clusterUUID").String()
				if stored, err = store(ctx, in.DC, uuidKey, cmp.Or(known, string(uuid.NewUUID())), false); err != nil {
					return err
				}
			}
			if !validUUID.MatchString(stored) {
				return fmt.Errorf(`read the cluster's UUID from ConfigMap "%s/%s": %q is not one, restore it, or delete the ConfigMap for a new identity`, uuidNamespace, uuidName, stored)
			}
			set(in, "global.discovery.clusterUUID", stored)
			return nil
		},
	}
}

// store returns what the key has once this is done: value, unless another one is there already and overwrite is
// false. Whoever stores first wins; the hooks of UUID and domain start at the same time.
func store(ctx context.Context, dependencies pkg.DependencyContainer, key, value string, overwrite bool) (string, error) {
	k8s, err := dependencies.GetK8sClient()
	if err != nil {
		return "", err
	}
	lostRace := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	err = retry.OnError(retry.DefaultRetry, lostRace, func() error {
		configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: uuidNamespace, Name: uuidName}}
		_, err := controllerutil.CreateOrUpdate(ctx, k8s, configMap, func() error {
			if stored := configMap.Data[key]; stored != "" && !overwrite {
				value = stored
				return nil
			}
			if configMap.Data == nil {
				configMap.Data = map[string]string{}
			}
			configMap.Data[key] = value
			return nil
		})
		return err
	})
	if apierrors.IsForbidden(err) {
		err = fmt.Errorf("the operator may not: %w", err)
	}
	if err != nil {
		return "", fmt.Errorf(`write the key %s of ConfigMap "%s/%s", the cluster's identity: %w`, key, uuidNamespace, uuidName, err)
	}
	return value, nil
}
