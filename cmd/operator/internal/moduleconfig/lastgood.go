package moduleconfig

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

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

// lastGoodStore stores one Spec for each ModuleConfig in a Secret. One goroutine
// uses it at a time.
type lastGoodStore struct {
	client    kubernetes.Interface
	namespace string
	// specs mirrors the Secret; nil before it was read.
	specs map[string]Spec
}

// get returns the stored spec of ModuleConfig name, or nil.
func (s *lastGoodStore) get(ctx context.Context, name string) (*Spec, error) {
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	if spec, found := s.specs[name]; found {
		return &spec, nil
	}
	return nil, nil
}

// put stores spec for ModuleConfig name; nil forgets it. Equal is silent.
func (s *lastGoodStore) put(ctx context.Context, name string, spec *Spec) error {
	if err := s.load(ctx); err != nil {
		return err
	}
	stored, found := s.specs[name]
	if spec == nil && !found || spec != nil && found && reflect.DeepEqual(*spec, stored) {
		return nil
	}

	secrets := s.client.CoreV1().Secrets(s.namespace)
	secret, err := secrets.Get(ctx, lastGoodSecret, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return s.explain("read", err)
	}
	if missing {
		secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
			Name: lastGoodSecret, Namespace: s.namespace,
			Labels: names.ModuleLabels(),
		}}
	}
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	delete(secret.Data, name)
	if spec != nil {
		raw, err := json.Marshal(spec)
		if err != nil {
			return s.explain("encode the settings of "+name+" for", err)
		}
		secret.Data[name] = raw
	}

	if missing {
		_, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
	} else {
		_, err = secrets.Update(ctx, secret, metav1.UpdateOptions{})
	}
	if err != nil {
		s.specs = nil // read again: another process may have written
		return s.explain("write", err)
	}
	delete(s.specs, name)
	if spec != nil {
		s.specs[name] = *spec
	}
	return nil
}

func (s *lastGoodStore) load(ctx context.Context) error {
	if s.specs != nil {
		return nil
	}
	secret, err := s.client.CoreV1().Secrets(s.namespace).Get(ctx, lastGoodSecret, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return s.explain("read", err)
	}
	specs := map[string]Spec{}
	if err == nil {
		for name, raw := range secret.Data {
			var spec Spec
			// Content that cannot be read counts as missing, and is replaced.
			if json.Unmarshal(raw, &spec) == nil {
				specs[name] = spec
			}
		}
	}
	s.specs = specs
	return nil
}

func (s *lastGoodStore) explain(doing string, err error) error {
	return fmt.Errorf("%s Secret \"%s/%s\", which holds the last good settings: %w", doing, s.namespace, lastGoodSecret, err)
}
