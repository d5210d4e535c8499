package hooks

import (
	sdk "github.com/deckhouse/module-sdk/pkg"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/names"
)

// secretData is the data of a Secret, decoded from base64 by encoding/json.
type secretData map[string][]byte

// secretBinding subscribes to one Secret; its snapshot is a secretData.
func secretBinding(binding, namespace, name string) sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:              binding,
		APIVersion:        "v1",
		Kind:              "Secret",
		NamespaceSelector: inNamespace(namespace),
		NameSelector:      named(name),
		JqFilter:          `.data // {}`,
	}
}

// secret returns the data of a binding made by secretBinding; nil when the Secret does not exist.
func secret(in *sdk.HookInput, binding string) (secretData, error) {
	data, _, err := only[secretData](in, binding)
	return data, err
}

// storeSecret stores data in a Secret in the operator's namespace, which outlives
// the module. A Secret that is not in the snapshot is only created: if it exists after
// all, because the snapshot is late, it holds the cluster's identity, which the next run uses.
func storeSecret(in *sdk.HookInput, inSnapshot bool, name string, data secretData) {
	stored := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: names.OperatorNamespace, Labels: names.ModuleLabels()},
		Type:       corev1.SecretTypeOpaque,
		Data:       data,
	}
	if inSnapshot {
		in.PatchCollector.CreateOrUpdate(stored)
	} else {
		in.PatchCollector.CreateIfNotExists(stored)
	}
}
