package main

import (
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/deckhouse-mesh/istio/tools/oci"
)

// paths of the entries, with the target of links.
func paths(entries []oci.Entry) map[string]string {
	all := map[string]string{}
	for _, e := range entries {
		all[e.Path] = e.Target
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

func TestPublicRootsAreCertificates(t *testing.T) {
	g := NewWithT(t)
	rest, count := []byte(oci.PublicRoots()), 0
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
		NewWithT(t).Expect(oci.CamelCase(folder)).To(Equal(want))
	}
}
