package globalhooks

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/deckhouse/module-sdk/pkg"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
			var stored string
			for _, snapshot := range in.Snapshots.Get("uuid") {
				if err := snapshot.UnmarshalTo(&stored); err != nil {
					return err
				}
			}
			if stored == "" {
				k8s, err := in.DC.GetK8sClient()
				if err != nil {
					return err
				}
				// One that was known before, when somebody deleted the ConfigMap, goes on.
				stored, err = ensureUUID(ctx, k8s, in.Values.Get("global.discovery.clusterUUID").String())
				if err != nil {
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

// ensureUUID returns the UUID that the cluster has once this is done: the stored
// one, else known, else a new one. Whoever stores first wins.
func ensureUUID(ctx context.Context, k8s client.Client, known string) (string, error) {
	wanted := known
	if wanted == "" {
		wanted = string(uuid.NewUUID())
	}
	configMap := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: uuidNamespace, Name: uuidName},
		Data:       map[string]string{uuidKey: wanted},
	}
	err := k8s.Create(ctx, configMap)
	if err == nil {
		return wanted, nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return "", explainUUID("create", err)
	}

	if err := k8s.Get(ctx, client.ObjectKeyFromObject(configMap), configMap); err != nil {
		return "", explainUUID("read", err)
	}
	if stored := configMap.Data[uuidKey]; stored != "" {
		return stored, nil
	}
	if configMap.Data == nil {
		configMap.Data = map[string]string{}
	}
	configMap.Data[uuidKey] = wanted
	if err := k8s.Update(ctx, configMap); err != nil {
		return "", explainUUID("write the key "+uuidKey+" of", err)
	}
	return wanted, nil
}

func explainUUID(doing string, err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Reason == metav1.StatusReasonForbidden {
		return fmt.Errorf(`%s ConfigMap "%s/%s", the cluster's identity: the operator may not: %w`, doing, uuidNamespace, uuidName, err)
	}
	return fmt.Errorf(`%s ConfigMap "%s/%s", the cluster's identity: %w`, doing, uuidNamespace, uuidName, err)
}
