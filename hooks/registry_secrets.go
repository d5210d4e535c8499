package hooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	sdk "github.com/deckhouse/module-sdk/pkg"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/lib/orphans"
	"github.com/deckhouse-mesh/istio/lib/registrysecret"
)

const (
	registryCredentialsPath = "global.modulesImages.registry.credentials"
	// registrySecretEvent is the reason of the Event in a namespace whose Secret cannot be written.
	registrySecretEvent = "RegistrySecretNotWritten"
)

var (
	// Where Deckhouse supplies the credentials of the module's registry, and where the operator does.
	dockerConfigPath = names.ValuesPath("registry.dockercfg")
)

var secretResource = corev1.SchemeGroupVersion.WithResource("secrets")

// registrySecrets writes the credentials for pulling sidecars' images into the
// applications' namespaces, each Secret by itself: what a tenant does to one of
// them, or to a namespace, must stop neither the others nor the module's release.
func registrySecrets(retry *registrysecret.Retry) hookruntime.Hook {
	return hookruntime.Hook{
		Name: "registry_secrets",
		Config: sdk.HookConfig{
			Queue:      "/modules/istio/registry-secrets",
			Settings:   &sdk.HookConfigSettings{ExecutionMinInterval: time.Second, ExecutionBurst: 3},
			Schedule:   []sdk.ScheduleConfig{everyMinute},
			Kubernetes: []sdk.KubernetesConfig{registrySecretsBinding()},
		},
		Run: func(ctx context.Context, in *sdk.HookInput) error { return runRegistrySecrets(ctx, in, retry) },
	}
}

func registrySecretsBinding() sdk.KubernetesConfig {
	return sdk.KubernetesConfig{
		Name:         "secrets",
		APIVersion:   "v1",
		Kind:         "Secret",
		NameSelector: named(orphans.RegistrySecret),
		JqFilter: `{
			namespace: .metadata.namespace,
			managed: (.metadata.labels["` + names.HeritageLabel + `"] == "` + names.Heritage + `" and .metadata.labels["` + names.ModuleLabel + `"] == "` + names.Module() + `"),
			type: .type,
			config: (.data[".dockerconfigjson"] // "")
		}`,
	}
}

func runRegistrySecrets(ctx context.Context, in *sdk.HookInput, retry *registrysecret.Retry) error {
	found, err := snapshot[registrysecret.Secret](in, "secrets")
	if err != nil {
		return err
	}
	var namespaces []string
	if err := settings(in, applicationNamespacesPath, &namespaces); err != nil {
		return err
	}
	client, err := in.DC.GetK8sClient()
	if err != nil {
		return err
	}
	config := cmp.Or(in.Values.Get(dockerConfigPath).String(), in.Values.Get(registryCredentialsPath).String())
	now := in.DC.GetClock().Now()
	for _, change := range registrysecret.Changes(config, namespaces, found) {
		if !retry.Due(change, now) {
			continue
		}
		failure := writeRegistrySecret(ctx, client.Dynamic().Resource(secretResource).Namespace(change.Namespace), change, config)
		if failure == nil {
			retry.Forget(change.Namespace)
			continue
		}
		if !isTransient(failure) {
			retry.Failed(change, now)
		}
		message := fmt.Sprintf("Sidecars in this namespace cannot pull their image from a registry with a password: Secret %s cannot be written: %v. "+
			"Delete or rename the object in its place; the module tries again by itself.", orphans.RegistrySecret, failure)
		in.Logger.Warn("cannot write the registry's Secret in one namespace; those of other namespaces are written", "namespace", change.Namespace, "error", failure.Error())
		report(ctx, in, objectWarning(corev1.ObjectReference{
			APIVersion: "v1", Kind: "Secret", Namespace: change.Namespace, Name: orphans.RegistrySecret,
		}, registrySecretEvent, message))
	}
	return nil
}

func writeRegistrySecret(ctx context.Context, secrets dynamic.ResourceInterface, change registrysecret.Change, config string) error {
	var err error
	switch change.Action {
	case registrysecret.Taken:
		return errors.New("a Secret of that name exists that the module has not made, or that has another type")
	case registrysecret.Delete:
		err = ctrlclient.IgnoreNotFound(secrets.Delete(ctx, orphans.RegistrySecret, metav1.DeleteOptions{}))
	case registrysecret.Create:
		_, err = secrets.Create(ctx, registrySecret(change.Namespace, config), metav1.CreateOptions{})
		err = ctrlclient.IgnoreAlreadyExists(err) // its event is on the way
	case registrysecret.Update:
		patch := fmt.Appendf(nil, `{"data": {%q: %q}}`, corev1.DockerConfigJsonKey, config)
		_, err = secrets.Patch(ctx, orphans.RegistrySecret, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	return err
}

// registrySecret has config, which is in base64 already.
func registrySecret(namespace, config string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{
			"namespace": namespace, "name": orphans.RegistrySecret,
			"labels": map[string]any{names.HeritageLabel: names.Heritage, names.ModuleLabel: names.Module()},
		},
		"type": string(corev1.SecretTypeDockerConfigJson),
		"data": map[string]any{corev1.DockerConfigJsonKey: config},
	}}
}
