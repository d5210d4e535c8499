package controlplane

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindPrograms(t *testing.T) {
	all := []string{"etcd", "kube-apiserver", "kube-controller-manager"}
	for name, test := range map[string]struct {
		assets, built []string
		want          [3]string
		err           string
	}{
		"complete assets are used": {
			assets: all, built: all,
			want: [3]string{"assets/etcd", "assets/kube-apiserver", "assets/kube-controller-manager"},
		},
		"the controller manager that envtest lacks is ours": {
			assets: all[:2], built: all,
			want: [3]string{"assets/etcd", "assets/kube-apiserver", "built/kube-controller-manager"},
		},
		"incomplete assets are not mixed in": {
			assets: all[:1], built: all,
			want: [3]string{"built/etcd", "built/kube-apiserver", "built/kube-controller-manager"},
		},
		"without assets the built ones are used": {
			built: all,
			want:  [3]string{"built/etcd", "built/kube-apiserver", "built/kube-controller-manager"},
		},
		"with neither the error says how to build them": {err: "make build tools"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for dir, names := range map[string][]string{"assets": test.assets, "built": test.built} {
				if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
					t.Fatal(err)
				}
				for _, program := range names {
					if err := os.WriteFile(filepath.Join(root, dir, program), nil, 0o755); err != nil {
						t.Fatal(err)
					}
				}
			}
			programs, err := FindPrograms(filepath.Join(root, "assets"), filepath.Join(root, "built"))
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := [3]string{programs.Etcd, programs.APIServer, programs.ControllerManager}
			for i := range got {
				got[i], _ = filepath.Rel(root, got[i])
			}
			if got != test.want {
				t.Fatalf("got %v, want %v", got, test.want)
			}
		})
	}
}
