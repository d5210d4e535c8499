package kubelet

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/deckhouse-mesh/istio/cmd/lab/internal/process"
)

// tokenMount is where Pods find the token of their ServiceAccount.
const tokenMount = "/var/run/secrets/kubernetes.io/serviceaccount"

// command that runs a container as a process: its program for the image, its
// args and env from the Pod, its volumes at folders instead of mount paths.
func (k *Kubelet) command(ctx context.Context, instance *instance, pod *corev1.Pod, container *corev1.Container, program Program) (process.Command, error) {
	if err := k.writeVolumes(ctx, instance, pod); err != nil {
		return process.Command{}, err
	}
	folders := mountFolders(container, instance.volumesDir())
	root := instance.rootDir(container.Name)
	for _, dir := range []string{root, filepath.Join(root, "tmp"), k.options.LogDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return process.Command{}, fmt.Errorf("prepare container %q: %w", container.Name, err)
		}
	}
	if err := linkMounts(root, folders); err != nil {
		return process.Command{}, err
	}
	environment, err := k.sources.environment(pod, container, instance.address)
	if err != nil {
		return process.Command{}, fmt.Errorf("container %q: %w", container.Name, err)
	}
	kubeconfig := filepath.Join(instance.dir, container.Name+".kubeconfig")
	if folder, ok := folders[tokenMount]; ok {
		if err := writeKubeconfig(kubeconfig, pod, cmp.Or(program.APIServer, k.options.APIServer), folder); err != nil {
			return process.Command{}, err
		}
	}

	rewriter := newPathRewriter(folders)
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + root,
		"TMPDIR=" + filepath.Join(root, "tmp"),
		"HOSTNAME=" + pod.Name,
		// Without a mounted token the file does not exist: the program then has
		// no access to the API, as in a Pod, instead of the access of whoever runs the lab.
		clientcmd.RecommendedConfigPathEnvVar + "=" + kubeconfig,
	}
	values := map[string]string{}
	for _, v := range environment {
		values[v.name] = v.value
		env = append(env, v.name+"="+rewriter.rewrite(v.value))
	}
	env = append(env, program.Env...)
	var args []string
	if len(container.Command) > 1 {
		args = append(args, container.Command[1:]...)
	}
	args = append(args, container.Args...)
	for i := range args {
		args[i] = rewriter.rewrite(expand(args[i], values))
	}
	if program.Args != nil {
		args = append(args, program.Args(Place{Address: instance.address.Real, Kubeconfig: kubeconfig})...)
	}
	return process.Command{
		Path: program.Path,
		Args: args,
		Env:  env,
		Dir:  root,
		Log:  k.logFile(pod, container.Name),
	}, nil
}

func (k *Kubelet) logFile(pod *corev1.Pod, container string) string {
	return filepath.Join(k.options.LogDir, pod.Name+"_"+container+".log")
}

// writeKubeconfig gives the process the Pod's own identity, for the API at server.
func writeKubeconfig(file string, pod *corev1.Pod, server, tokenFolder string) error {
	const name = "pod"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{
		Server: server, CertificateAuthority: filepath.Join(tokenFolder, "ca.crt"),
	}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{TokenFile: filepath.Join(tokenFolder, "token")}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name, Namespace: pod.Namespace}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		return fmt.Errorf("write the kubeconfig of Pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}
