package rendertest

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// TestTheExporterHoldsNoKeyButItsListeners: who takes over the program that everybody
// reaches cannot impersonate this cluster, whatever is set.
func TestTheExporterHoldsNoKeyButItsListeners(t *testing.T) {
	m := load(t)
	withIngressCertificate := func(v Values) {
		v.Set(map[string]any{"ca": "ca", "crt": "crt", "key": "key"}, "istio", "internal", "ingressClientCertificate")
		v.Set(map[string]any{"crt": "crt", "key": "key"}, "istio", "internal", "clientCertificate")
	}
	for _, way := range []string{"None", "Header", "Passthrough"} {
		settings := "federation: {enabled: true}\nmulticluster: {enabled: true}\nalliance: {metadataEndpoint: {clientCertificates: " + way + "}}"
		objects := m.render(t, settings, withIngressCertificate)
		pod := mustDecode[*appsv1.Deployment](t, objects, "Deployment/metadata-exporter").Spec.Template.Spec
		if len(pod.InitContainers) > 0 || len(pod.Containers) != 1 || len(pod.Containers[0].EnvFrom) > 0 {
			t.Errorf("%s: other containers or environments may bring keys: %+v", way, pod)
		}
		for _, variable := range pod.Containers[0].Env {
			if variable.ValueFrom != nil && variable.ValueFrom.FieldRef == nil {
				t.Errorf("%s: %s comes from another object", way, variable.Name)
			}
		}
		for _, volume := range pod.Volumes {
			if volume.Secret == nil {
				t.Errorf("%s: volume %s is no Secret", way, volume.Name)
				continue
			}
			for _, file := range filesOf(t, objects, volume.Secret) {
				if isKey := slices.Contains([]string{"tls.key", "priv.pem"}, file); isKey && volume.Secret.SecretName != "metadata-exporter-tls" {
					t.Errorf("%s: %s of Secret %s is mounted", way, file, volume.Secret.SecretName)
				}
			}
		}
	}
}

// filesOf are the keys of a rendered Secret that a volume brings into the Pod.
func filesOf(t *testing.T, objects Objects, volume *corev1.SecretVolumeSource) []string {
	t.Helper()
	var files []string
	for _, item := range volume.Items {
		files = append(files, item.Key)
	}
	if len(files) == 0 {
		for key := range mustDecode[*corev1.Secret](t, objects, "Secret/"+volume.SecretName).Data {
			files = append(files, key)
		}
	}
	return files
}
