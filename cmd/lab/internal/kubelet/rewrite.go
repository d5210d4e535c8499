package kubelet

import (
	"slices"
	"strings"
)

// pathRewriter replaces the paths that volumes are mounted at by the folders
// that hold the volumes, because lab processes share the machine's file system.
type pathRewriter struct {
	// mounts are (mount path, folder) pairs, longest path first.
	mounts [][2]string
}

func newPathRewriter(folders map[string]string) pathRewriter {
	var rewriter pathRewriter
	for mount, folder := range folders {
		rewriter.mounts = append(rewriter.mounts, [2]string{strings.TrimRight(mount, "/"), folder})
	}
	slices.SortFunc(rewriter.mounts, func(a, b [2]string) int { return len(b[0]) - len(a[0]) })
	return rewriter
}

// rewrite replaces every occurrence that is a whole path or the beginning of
// one: /etc/tls in "--dir=/etc/tls/x", not in "/etc/tls2" or "/my/etc/tls".
func (r pathRewriter) rewrite(text string) string {
	var out strings.Builder
next:
	for i := 0; i < len(text); {
		if text[i] == '/' && (i == 0 || !isPathByte(text[i-1])) {
			for _, mount := range r.mounts {
				end := i + len(mount[0])
				if mount[0] == "" || !strings.HasPrefix(text[i:], mount[0]) {
					continue
				}
				if end < len(text) && text[end] != '/' && isPathByte(text[end]) {
					continue
				}
				out.WriteString(mount[1])
				i = end
				continue next
			}
		}
		out.WriteByte(text[i])
		i++
	}
	return out.String()
}

func isPathByte(b byte) bool {
	switch {
	case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9':
		return true
	}
	return strings.IndexByte("/._-~", b) >= 0
}
