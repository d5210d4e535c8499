package globalhooks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/deckhouse/module-sdk/pkg"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/deckhouse-mesh/istio/lib/hookruntime"
	"github.com/deckhouse-mesh/istio/lib/names"
	"github.com/deckhouse-mesh/istio/lib/registrysecret"
)

const (
	// credentialsPath is not where Deckhouse keeps the credentials of its own registry: tenants may read these.
	credentialsPath = "global.modulesImages.registry.credentials"
	// registrySecretInvalid is the reason of the Event on a Secret that is not used.
	registrySecretInvalid = "RegistrySecretInvalid"
)

// pullSecret is a Secret of the type kubernetes.io/dockerconfigjson, or should be one.
type pullSecret struct {
	UID    string `json:"uid"`
	Type   string `json:"type"`
	Config string `json:"config"`
}

// registryCredentials publishes the credentials for pulling the module's images
// from repository images, which a person keeps in Secret name of the operator's
// namespace. Without that Secret there are none; while it is unusable, the last ones
// stay in force, over restarts too: the module's release has them.
func registryCredentials(namespace, name, images string) hookruntime.Hook {
	const filter = `{uid: .metadata.uid, type: (.type // ""), config: (.data[".dockerconfigjson"] // "")}`
	inRelease := object("in_release", "Secret", names.Namespace, "istio-registry", filter)
	inRelease.ExecuteHookOnEvents = new(bool)
	return hookruntime.Hook{
		Name:   "registry_credentials",
		Config: pkg.HookConfig{Kubernetes: []pkg.KubernetesConfig{object("secret", "Secret", namespace, name, filter), inRelease}},
		Run: func(ctx context.Context, in *pkg.HookInput) error {
			wanted, wantedErr := snapshot[pullSecret](in, "secret")
			last, lastErr := snapshot[pullSecret](in, "in_release")
			if err := errors.Join(wantedErr, lastErr); err != nil {
				return err
			}
			if len(wanted) == 0 {
				set(in, credentialsPath, "")
				return nil
			}
			credentials, err := registrysecret.Credentials(wanted[0].Type, wanted[0].Config, images)
			if err == nil {
				set(in, credentialsPath, credentials)
				return nil
			}
			inForce := in.Values.Get(credentialsPath).String()
			if inForce == "" && len(last) > 0 {
				inForce = last[0].Config
			}
			set(in, credentialsPath, inForce)
			consequence := "they are pulled without a password"
			if inForce != "" {
				consequence = "the credentials used before stay in force"
			}
			message := fmt.Sprintf("Secret %s/%s cannot be used for pulling the module's images, %s: %v", namespace, name, consequence, err)
			in.Logger.Error(message)
			return reportInvalid(ctx, in, namespace, name, wanted[0].UID, message)
		},
	}
}

// reportInvalid writes an Event on the Secret, once for each message.
func reportInvalid(ctx context.Context, in *pkg.HookInput, namespace, name, uid, message string) error {
	k8s, err := in.DC.GetK8sClient()
	if err != nil {
		return err
	}
	sum, now := sha256.Sum256([]byte(uid+message)), metav1.Now()
	about := corev1.ObjectReference{APIVersion: "v1", Kind: "Secret", Namespace: namespace, Name: name}
	err = k8s.Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, Name: "istio." + hex.EncodeToString(sum[:8])},
		InvolvedObject: about, Reason: registrySecretInvalid, Message: message, Type: corev1.EventTypeWarning,
		Source:         corev1.EventSource{Component: "istio-operator"},
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
	})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		in.Logger.Warn("cannot write an Event: " + err.Error())
	}
	return nil
}
