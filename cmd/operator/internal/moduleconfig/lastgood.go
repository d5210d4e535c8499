package moduleconfig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/deckhouse-mesh/istio/lib/names"
)

// lastGoodSecret holds the settings in force, so that a restart of the operator
// does not lose them while a ModuleConfig is invalid. It is a Secret because
// settings may hold private keys.
const lastGoodSecret = "module-config-last-good"

// lastGoodStore stores one Spec for each ModuleConfig in a Secret.
type lastGoodStore struct {
	client    kubernetes.Interface
	namespace string
}

// get returns the stored spec of ModuleConfig name, or nil. Content that cannot be read counts as missing.
func (s *lastGoodStore) get(ctx context.Context, name string) (*Spec, error) {
	secret, _, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	var spec Spec
	if json.Unmarshal(secret.Data[name], &spec) == nil {
		return &spec, nil
	}
	return nil, nil
}

// put stores spec for ModuleConfig name; nil forgets it. Equal is silent.
func (s *lastGoodStore) put(ctx context.Context, name string, spec *Spec) error {
	secret, exists, err := s.read(ctx)
	if err != nil {
		return err
	}
	var wanted []byte
	if spec != nil {
		wanted = []byte(fingerprint(*spec))
	}
	if bytes.Equal(secret.Data[name], wanted) {
		return nil
	}
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	secret.Data[name] = wanted
	if spec == nil {
		delete(secret.Data, name)
	}
	if exists {
		_, err = s.client.CoreV1().Secrets(s.namespace).Update(ctx, secret, metav1.UpdateOptions{})
	} else {
		_, err = s.client.CoreV1().Secrets(s.namespace).Create(ctx, secret, metav1.CreateOptions{})
	}
	if err != nil {
		return s.explain("write", err)
	}
	return nil
}

// read returns the Secret, as it is to be created when it does not exist.
func (s *lastGoodStore) read(ctx context.Context) (secret *corev1.Secret, exists bool, err error) {
	secret, err = s.client.CoreV1().Secrets(s.namespace).Get(ctx, lastGoodSecret, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: lastGoodSecret, Namespace: s.namespace, Labels: names.ModuleLabels()}}, false, nil
	}
	if err != nil {
		return nil, false, s.explain("read", err)
	}
	return secret, true, nil
}

func (s *lastGoodStore) explain(doing string, err error) error {
	return fmt.Errorf("%s Secret \"%s/%s\", which holds the last good settings: %w", doing, s.namespace, lastGoodSecret, err)
}
