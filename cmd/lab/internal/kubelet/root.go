package kubelet

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// linkMounts makes a container's root folder show its volumes at their mount
// paths, so that programs that use paths relative to their working directory
// find them. A mount inside another mount cannot be shown by links.
func linkMounts(root string, folders map[string]string) error {
	for _, mount := range sortedKeys(folders) {
		for _, other := range sortedKeys(folders) {
			if strings.HasPrefix(mount, strings.TrimRight(other, "/")+"/") {
				return fmt.Errorf("volume mount %s lies inside %s, which the lab cannot do", mount, other)
			}
		}
		link := filepath.Join(root, mount)
		if present, err := os.Readlink(link); err == nil && present == folders[mount] {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			return fmt.Errorf("mount %s: %w", mount, err)
		}
		if err := os.Symlink(folders[mount], link); err != nil {
			return fmt.Errorf("mount %s: %w", mount, err)
		}
	}
	return nil
}
