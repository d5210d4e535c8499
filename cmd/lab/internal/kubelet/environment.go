package kubelet

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
)

// variable of an environment.
type variable struct{ name, value string }

// environment of a container, in the order of its declaration, with $(NAME) expanded.
func (s sources) environment(pod *corev1.Pod, container *corev1.Container, address podnet.Address) ([]variable, error) {
	var result []variable
	values := map[string]string{}
	add := func(name, value string) {
		result = append(result, variable{name, value})
		values[name] = value
	}
	for _, from := range container.EnvFrom {
		content, err := s.envFrom(pod.Namespace, from)
		if err != nil {
			return nil, err
		}
		for _, key := range sortedKeys(content) {
			add(from.Prefix+key, content[key])
		}
	}
	for _, env := range container.Env {
		value, found, err := s.envValue(pod, container, address, env, values)
		if err != nil {
			return nil, fmt.Errorf("env %s: %w", env.Name, err)
		}
		if found {
			add(env.Name, value)
		}
	}
	return result, nil
}

func (s sources) envFrom(namespace string, from corev1.EnvFromSource) (map[string]string, error) {
	switch {
	case from.ConfigMapRef != nil:
		content, err := s.configMap(namespace, from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
		return asText(content), err
	case from.SecretRef != nil:
		content, err := s.secret(namespace, from.SecretRef.Name, from.SecretRef.Optional)
		return asText(content), err
	}
	return nil, errors.New("envFrom names neither a ConfigMap nor a Secret")
}

func (s sources) envValue(pod *corev1.Pod, container *corev1.Container, address podnet.Address, env corev1.EnvVar, values map[string]string) (string, bool, error) {
	from := env.ValueFrom
	if from == nil {
		return expand(env.Value, values), true, nil
	}
	switch {
	case from.FieldRef != nil:
		value, err := podField(pod, address, from.FieldRef.FieldPath)
		return value, err == nil, err
	case from.ResourceFieldRef != nil:
		value, err := containerResource(container, from.ResourceFieldRef)
		return value, err == nil, err
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		content, err := s.configMap(pod.Namespace, ref.Name, ref.Optional)
		return keyOf(content, err, "ConfigMap", ref.Name, ref.Key, ref.Optional)
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		content, err := s.secret(pod.Namespace, ref.Name, ref.Optional)
		return keyOf(content, err, "Secret", ref.Name, ref.Key, ref.Optional)
	}
	return "", false, errors.New("valueFrom names no source that is known")
}

func keyOf(content map[string][]byte, err error, kind, name, key string, optional *bool) (string, bool, error) {
	if err != nil {
		return "", false, err
	}
	value, ok := content[key]
	if !ok && !isTrue(optional) {
		return "", false, fmt.Errorf("%s %q has no key %q", kind, name, key)
	}
	return string(value), ok, nil
}

// configMap is the content of a ConfigMap; an optional one that does not exist is empty.
func (s sources) configMap(namespace, name string, optional *bool) (map[string][]byte, error) {
	object, err := s.configMaps.ConfigMaps(namespace).Get(name)
	if err != nil {
		return nil, missing(err, optional)
	}
	content := map[string][]byte{}
	for key, value := range object.Data {
		content[key] = []byte(value)
	}
	for key, value := range object.BinaryData {
		content[key] = value
	}
	return content, nil
}

// secret is the content of a Secret; an optional one that does not exist is empty.
func (s sources) secret(namespace, name string, optional *bool) (map[string][]byte, error) {
	object, err := s.secrets.Secrets(namespace).Get(name)
	if err != nil {
		return nil, missing(err, optional)
	}
	return object.Data, nil
}

func missing(err error, optional *bool) error {
	if apierrors.IsNotFound(err) && isTrue(optional) {
		return nil
	}
	return err
}

func isTrue(b *bool) bool { return b != nil && *b }

func asText(content map[string][]byte) map[string]string {
	result := map[string]string{}
	for key, value := range content {
		if !strings.ContainsRune(key, '=') {
			result[key] = string(value)
		}
	}
	return result
}
