package testbed

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// binaries of a node, by the folder of `make tools` that has them.
var binaries = map[string][]string{
	"kube": {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"},
	"node": {"containerd", "containerd-shim-runc-v2", "ctr", "runc", "ptp", "host-local", "loopback", "portmap"},
}

// FindBinaries finds what nodes run below the folder of built tools, by name.
// Links are followed: their names are those that a node calls the programs by.
func FindBinaries(tools string) (map[string]string, error) {
	found := map[string]string{}
	var missing []string
	for folder, names := range binaries {
		for _, name := range names {
			file, err := filepath.EvalSymlinks(filepath.Join(tools, folder, name))
			if err == nil {
				var info os.FileInfo
				if info, err = os.Stat(file); err == nil && info.Mode()&0o111 == 0 {
					err = os.ErrPermission
				}
			}
			if err != nil {
				missing = append(missing, filepath.Join(folder, name))
				continue
			}
			found[name] = file
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("not all that a lab needs has been built: no %s in %s: run `make tools`", strings.Join(missing, ", "), tools)
	}
	return found, nil
}
