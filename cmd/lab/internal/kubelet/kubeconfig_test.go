package kubelet

import (
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
)

func TestAProgramFindsTheAPIWithItsPodsOwnToken(t *testing.T) {
	for name, test := range map[string]struct{ own, want string }{
		"at the cluster's API server":       {"", "https://127.0.0.1:1"},
		"or where the program is to see it": {"https://127.0.0.1:2", "https://127.0.0.1:2"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			pod := newPod()
			pod.Annotations = map[string]string{apiServerAnnotation: test.own}
			pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "token", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
			server := &pod.Spec.Containers[0]
			server.VolumeMounts = append(server.VolumeMounts, corev1.VolumeMount{Name: "token", MountPath: tokenMount})
			w.create(settings("hello"), pod)
			w.await("it runs", func(pod *corev1.Pod) bool { return pod != nil && pod.Status.Phase == corev1.PodRunning })
			files, err := filepath.Glob(filepath.Join(w.dir, "pods", "*", "server.kubeconfig"))
			if err != nil || len(files) != 1 {
				t.Fatalf("the kubeconfigs are %v (%v)", files, err)
			}
			config, err := clientcmd.LoadFromFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			context := config.Contexts[config.CurrentContext]
			if got := config.Clusters[context.Cluster].Server; got != test.want {
				t.Errorf("the API is at %s, want %s", got, test.want)
			}
			if got := config.AuthInfos[context.AuthInfo].TokenFile; filepath.Base(got) != "token" {
				t.Errorf("its token is in %s", got)
			}
		})
	}
}
