package main

import (
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

// paths of the entries, with the target of links.
func paths(entries []entry) map[string]string {
	all := map[string]string{}
	for _, e := range entries {
		all[e.path] = e.target
	}
	return all
}

func TestTheProxysFloorHasWhatProgramsNeedAndNoMore(t *testing.T) {
	g := NewWithT(t)
	file := filepath.Join(t.TempDir(), "rootfs.tar")
	writeDebian(t, file, debianFiles)
	entries, err := debian(file)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(paths(entries)).To(Equal(map[string]string{
		"usr/sbin/xtables-nft-multi":     "",
		"lib/x86_64-linux-gnu/libc.so.6": "",
		"lib64/ld-linux-x86-64.so.2":     "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
		"etc/protocols":                  "",
		"run":                            "",
		"tmp":                            "",
		"usr/sbin/iptables":              "xtables-nft-multi",
		"usr/sbin/iptables-save":         "xtables-nft-multi",
		"usr/sbin/iptables-restore":      "xtables-nft-multi",
		"usr/sbin/ip6tables":             "xtables-nft-multi",
		"usr/sbin/ip6tables-save":        "xtables-nft-multi",
		"usr/sbin/ip6tables-restore":     "xtables-nft-multi",
	}))
}

func TestADebianWithoutIptablesIsRejected(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rootfs.tar")
	writeDebian(t, file, map[string]string{"./etc/protocols": "tcp 6 TCP"})
	_, err := debian(file)
	NewWithT(t).Expect(err).To(MatchError(And(ContainSubstring("xtables-nft-multi"), ContainSubstring("make tools"))))
}

func TestFoldersComeBeforeWhatIsInThem(t *testing.T) {
	g := NewWithT(t)
	all, err := complete([]entry{text("a/b/c", ""), text("a.txt", ""), writable("a/b")})
	g.Expect(err).NotTo(HaveOccurred())
	var order []string
	for _, e := range all {
		order = append(order, e.path)
	}
	g.Expect(order).To(Equal([]string{"a", "a.txt", "a/b", "a/b/c"}))
	g.Expect(all[0].mode).To(Equal(fs.ModeDir | 0o755))
	g.Expect(all[2].mode).To(Equal(fs.ModeDir|fs.ModeSticky|0o777), "what an image says of a folder counts")
}

func TestAnImageWithAPathTwiceIsRejected(t *testing.T) {
	_, err := complete([]entry{text("a", "1"), text("a", "2")})
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("/a is in it twice")))
}

func TestPublicRootsAreCertificates(t *testing.T) {
	g := NewWithT(t)
	rest, count := []byte(publicRoots()), 0
	for len(rest) > 0 {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		g.Expect(block).NotTo(BeNil())
		_, err := x509.ParseCertificate(block.Bytes)
		g.Expect(err).NotTo(HaveOccurred())
		count++
	}
	g.Expect(count).To(BeNumerically(">", 50))
}

func TestNamesOfImages(t *testing.T) {
	for folder, want := range map[string]string{
		"kiali": "kiali", "metadata-exporter": "metadataExporter", "proxyv2-v1x31": "proxyv2V1x31", "a-b-c": "aBC",
	} {
		NewWithT(t).Expect(camelCase(folder)).To(Equal(want))
	}
}
