// Package controlplane runs one Kubernetes control plane on loopback: etcd,
// kube-apiserver and kube-controller-manager, the real programs.
package controlplane

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// AssetsVariable names a folder with the programs, as setup-envtest downloads them.
const AssetsVariable = "KUBEBUILDER_ASSETS"

// Programs are the files to run.
type Programs struct {
	Etcd, APIServer, ControllerManager string
}

// FindPrograms looks in the folder that KUBEBUILDER_ASSETS names when it has a
// complete pair of etcd and kube-apiserver, else in what `make tools` built.
// kube-controller-manager, which setup-envtest does not download, comes from
// the built ones when the assets lack it.
func FindPrograms(assets, built string) (Programs, error) {
	etcd, apiServer, controllerManager := find(assets, "etcd"), find(assets, "kube-apiserver"), find(assets, "kube-controller-manager")
	if etcd == "" || apiServer == "" {
		etcd, apiServer, controllerManager = find(built, "etcd"), find(built, "kube-apiserver"), ""
	}
	if controllerManager == "" {
		controllerManager = find(built, "kube-controller-manager")
	}
	var missing []string
	for name, file := range map[string]string{"etcd": etcd, "kube-apiserver": apiServer, "kube-controller-manager": controllerManager} {
		if file == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return Programs{}, fmt.Errorf("find the control plane's programs: no %s in %s: run `make build tools`, or set %s to a folder that has them",
			strings.Join(missing, ", "), built, AssetsVariable)
	}
	return Programs{Etcd: etcd, APIServer: apiServer, ControllerManager: controllerManager}, nil
}

func find(dir, name string) string {
	if dir == "" {
		return ""
	}
	file := filepath.Join(dir, name)
	if info, err := os.Stat(file); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return ""
	}
	return file
}
