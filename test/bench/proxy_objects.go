package main

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/deckhouse-mesh/istio/test/guarded"
)

// creators make objects at a time.
const creators = 16

// fill makes Pods as a mesh has them, and as many headless Services.
func fill(ctx context.Context, client kubernetes.Interface, count int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(creators)
	for index := range count {
		group.Go(func() error {
			if _, err := client.CoreV1().Pods(guarded.Shop).Create(ctx, meshPod(index), metav1.CreateOptions{}); err != nil {
				return fmt.Errorf("create a Pod: %w", err)
			}
			if _, err := client.CoreV1().Services(guarded.Shop).Create(ctx, meshService(index), metav1.CreateOptions{}); err != nil {
				return fmt.Errorf("create a Service: %w", err)
			}
			return nil
		})
	}
	return group.Wait()
}

func meshPod(index int) *corev1.Pod {
	container := func(name, image string, port int32) corev1.Container {
		return corev1.Container{
			Name: name, Image: image, Env: []corev1.EnvVar{{Name: "MODE", Value: "production"}},
			Ports: []corev1.ContainerPort{{Name: name, ContainerPort: port}},
		}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:        fmt.Sprintf("web-7f9c6d5b8-%05d", index),
			Labels:      map[string]string{"app": fmt.Sprintf("web-%d", index%500), "version": "v1", "service.istio.io/canonical-name": "web"},
			Annotations: map[string]string{"sidecar.istio.io/status": strings.Repeat(`{"initContainers":["istio-init"]}`, 12)},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{
			container("web", "registry.example/shop/web:v1.2.3", 8080), container("istio-proxy", "registry.example/istio/proxyv2:1.31.3", 15090),
		}},
	}
}

func meshService(index int) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("web-%05d", index), Labels: map[string]string{"app": "web"}},
		Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone, Selector: map[string]string{"app": fmt.Sprintf("web-%d", index)},
			Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
		},
	}
}
