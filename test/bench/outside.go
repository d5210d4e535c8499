package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/deckhouse-mesh/istio/test/guarded"
)

// tlsVolume is the exporter's volume with the certificate that it shows.
const tlsVolume = "tls"

// outside is how to start the program out of its Pod: with the same flags, its
// Secrets in folders of dir that are called like their volumes, and a token of its ServiceAccount.
func (p *program) outside(ctx context.Context, dir string) (arguments, environment []string, err error) {
	arguments = append(arguments, p.spec().Args...)
	for _, mount := range p.spec().VolumeMounts {
		folder := filepath.Join(dir, mount.Name)
		if err := p.writeVolume(ctx, mount.Name, folder); err != nil {
			return nil, nil, err
		}
		for i := range arguments {
			arguments[i] = strings.ReplaceAll(arguments[i], mount.MountPath, folder)
		}
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := p.writeKubeconfig(ctx, kubeconfig); err != nil {
		return nil, nil, err
	}
	environment = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	for _, variable := range p.spec().Env {
		if variable.Value != "" {
			environment = append(environment, variable.Name+"="+variable.Value)
		}
	}
	return arguments, environment, nil
}

// writeVolume writes what the kubelet mounts of a Secret.
func (p *program) writeVolume(ctx context.Context, name, folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make a folder for volume %s: %w", name, err)
	}
	for _, volume := range p.pod.Spec.Volumes {
		if volume.Name != name || volume.Secret == nil {
			continue
		}
		secret, err := p.cluster.typed.CoreV1().Secrets(p.namespace).Get(ctx, volume.Secret.SecretName, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("read the Secret of volume %s: %w", name, err)
		}
		for file, content := range filesOf(volume.Secret.Items, secret) {
			if err := os.WriteFile(filepath.Join(folder, file), content, 0o600); err != nil {
				return fmt.Errorf("write volume %s: %w", name, err)
			}
		}
	}
	return nil
}

// filesOf a volume are those that it names, or all.
func filesOf(items []corev1.KeyToPath, secret *corev1.Secret) map[string][]byte {
	if len(items) == 0 {
		return secret.Data
	}
	files := map[string][]byte{}
	for _, item := range items {
		files[item.Path] = secret.Data[item.Key]
	}
	return files
}

func (p *program) writeKubeconfig(ctx context.Context, file string) error {
	account := p.pod.Spec.ServiceAccountName
	token, err := p.cluster.typed.CoreV1().ServiceAccounts(p.namespace).CreateToken(ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("request a token of ServiceAccount %s: %w", account, err)
	}
	return guarded.WriteKubeconfig(file, &rest.Config{
		Host: p.cluster.config.Host, BearerToken: token.Status.Token, TLSClientConfig: rest.TLSClientConfig{CAData: p.cluster.config.CAData},
	})
}
