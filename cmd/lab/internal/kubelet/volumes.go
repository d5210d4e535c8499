package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/podnet"
)

// defaultFileMode of ConfigMap, Secret and projected volumes in Kubernetes.
const defaultFileMode = 0o644

// sources is where the content of volumes and environments comes from.
type sources struct {
	configMaps corelisters.ConfigMapLister
	secrets    corelisters.SecretLister
	// token issues a token of the Pod's ServiceAccount.
	token func(ctx context.Context, pod *corev1.Pod, projection corev1.ServiceAccountTokenProjection) ([]byte, error)
}

// writeVolume makes the folder hold what the volume holds now.
func (s sources) writeVolume(ctx context.Context, pod *corev1.Pod, address podnet.Address, volume corev1.Volume, dir string) error {
	var files map[string]file
	var err error
	switch source := volume.VolumeSource; {
	case source.EmptyDir != nil:
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make volume %q: %w", volume.Name, err)
		}
		return nil
	case source.ConfigMap != nil:
		files, err = s.configMapFiles(pod.Namespace, source.ConfigMap.Name, source.ConfigMap.Items,
			source.ConfigMap.Optional, modeOf(source.ConfigMap.DefaultMode))
	case source.Secret != nil:
		files, err = s.secretFiles(pod.Namespace, source.Secret.SecretName, source.Secret.Items,
			source.Secret.Optional, modeOf(source.Secret.DefaultMode))
	case source.DownwardAPI != nil:
		files, err = downwardFiles(pod, address, source.DownwardAPI.Items, modeOf(source.DownwardAPI.DefaultMode))
	case source.Projected != nil:
		files, err = s.projectedFiles(ctx, pod, address, source.Projected)
	default:
		err = errors.New("its kind is not one the lab has (emptyDir, configMap, secret, downwardAPI, projected)")
	}
	if err != nil {
		return fmt.Errorf("volume %q: %w", volume.Name, err)
	}
	return writeAtomically(dir, files)
}

func (s sources) configMapFiles(namespace, name string, items []corev1.KeyToPath, optional *bool, mode fs.FileMode) (map[string]file, error) {
	content, err := s.configMap(namespace, name, optional)
	if err != nil {
		return nil, err
	}
	return selectFiles("ConfigMap", name, content, items, optional, mode)
}

func (s sources) secretFiles(namespace, name string, items []corev1.KeyToPath, optional *bool, mode fs.FileMode) (map[string]file, error) {
	content, err := s.secret(namespace, name, optional)
	if err != nil {
		return nil, err
	}
	return selectFiles("Secret", name, content, items, optional, mode)
}

func (s sources) projectedFiles(ctx context.Context, pod *corev1.Pod, address podnet.Address, projected *corev1.ProjectedVolumeSource) (map[string]file, error) {
	files := map[string]file{}
	mode := modeOf(projected.DefaultMode)
	for _, source := range projected.Sources {
		var part map[string]file
		var err error
		switch {
		case source.ConfigMap != nil:
			part, err = s.configMapFiles(pod.Namespace, source.ConfigMap.Name, source.ConfigMap.Items, source.ConfigMap.Optional, mode)
		case source.Secret != nil:
			part, err = s.secretFiles(pod.Namespace, source.Secret.Name, source.Secret.Items, source.Secret.Optional, mode)
		case source.DownwardAPI != nil:
			part, err = downwardFiles(pod, address, source.DownwardAPI.Items, mode)
		case source.ServiceAccountToken != nil:
			var token []byte
			token, err = s.token(ctx, pod, *source.ServiceAccountToken)
			part = map[string]file{source.ServiceAccountToken.Path: {content: token, mode: 0o600}}
		default:
			err = errors.New("a projected source is not one the lab has (configMap, secret, downwardAPI, serviceAccountToken)")
		}
		if err != nil {
			return nil, err
		}
		maps.Copy(files, part)
	}
	return files, nil
}

func selectFiles(kind, name string, content map[string][]byte, items []corev1.KeyToPath, optional *bool, mode fs.FileMode) (map[string]file, error) {
	files := map[string]file{}
	if len(items) == 0 {
		for key, value := range content {
			files[key] = file{content: value, mode: mode}
		}
		return files, nil
	}
	for _, item := range items {
		value, ok := content[item.Key]
		if !ok {
			if isTrue(optional) {
				continue
			}
			return nil, fmt.Errorf("%s %q has no key %q", kind, name, item.Key)
		}
		files[path.Clean(item.Path)] = file{content: value, mode: itemMode(item.Mode, mode)}
	}
	return files, nil
}

func downwardFiles(pod *corev1.Pod, address podnet.Address, items []corev1.DownwardAPIVolumeFile, mode fs.FileMode) (map[string]file, error) {
	files := map[string]file{}
	for _, item := range items {
		var value string
		var err error
		switch {
		case item.FieldRef != nil:
			value, err = podField(pod, address, item.FieldRef.FieldPath)
		case item.ResourceFieldRef != nil:
			value, err = resourceOf(pod, item.ResourceFieldRef)
		}
		if err != nil {
			return nil, err
		}
		files[path.Clean(item.Path)] = file{content: []byte(value), mode: itemMode(item.Mode, mode)}
	}
	return files, nil
}

func resourceOf(pod *corev1.Pod, selector *corev1.ResourceFieldSelector) (string, error) {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == selector.ContainerName {
			return containerResource(&pod.Spec.Containers[i], selector)
		}
	}
	return "", fmt.Errorf("the Pod has no container %q", selector.ContainerName)
}

func modeOf(mode *int32) fs.FileMode {
	if mode == nil {
		return defaultFileMode
	}
	return ownerReadable(*mode)
}

func itemMode(mode *int32, otherwise fs.FileMode) fs.FileMode {
	if mode == nil {
		return otherwise
	}
	return ownerReadable(*mode)
}

// ownerReadable keeps the file readable for the lab's user, who is owner and
// fsGroup in one here.
func ownerReadable(mode int32) fs.FileMode { return fs.FileMode(mode)&fs.ModePerm | 0o400 }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// mountFolders says where each of a container's mount paths is on this machine.
func mountFolders(container *corev1.Container, volumesDir string) map[string]string {
	folders := map[string]string{}
	for _, mount := range container.VolumeMounts {
		folders[mount.MountPath] = filepath.Join(volumesDir, mount.Name, mount.SubPath)
	}
	return folders
}
