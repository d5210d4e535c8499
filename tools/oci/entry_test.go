package oci

import (
	"io/fs"
	"testing"

	. "github.com/onsi/gomega"
)

func TestFoldersComeBeforeWhatIsInThem(t *testing.T) {
	g := NewWithT(t)
	all, err := complete([]Entry{Text("a/b/c", ""), Text("a.txt", ""), Writable("a/b")})
	g.Expect(err).NotTo(HaveOccurred())
	var order []string
	for _, e := range all {
		order = append(order, e.Path)
	}
	g.Expect(order).To(Equal([]string{"a", "a.txt", "a/b", "a/b/c"}))
	g.Expect(all[0].Mode).To(Equal(fs.ModeDir | 0o755))
	g.Expect(all[2].Mode).To(Equal(fs.ModeDir|fs.ModeSticky|0o777), "what an image says of a folder counts")
}

func TestAnImageWithAPathTwiceIsRejected(t *testing.T) {
	_, err := complete([]Entry{Text("a", "1"), Text("a", "2")})
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("/a is in it twice")))
}
