package meshconfig_test

import (
	"strings"
	"testing"

	"github.com/deckhouse-mesh/istio/lib/meshconfig"
)

// mesh is a configuration as Helm writes it, with these entries of caCertificates.
func mesh(entries ...string) string {
	certificates := ""
	if len(entries) > 0 {
		certificates = "caCertificates:\n" + strings.Join(entries, "")
	}
	return certificates + "defaultConfig:\n  proxyMetadata:\n    ISTIO_META_DNS_CAPTURE: \"true\"\nrootNamespace: d8-istio\ntrustDomain: cluster-a.local"
}

const (
	anchorOfB    = "- pem: |\n    of b\n  trustDomains:\n  - b.local\n"
	newAnchorOfB = "- pem: |\n    new of b\n  trustDomains:\n  - b.local\n"
	anchorOfC    = "- pem: |\n    of c\n  trustDomains:\n  - c.local\n"
	bsAsCs       = "- pem: |\n    of b\n  trustDomains:\n  - c.local\n"
	ofOneMesh    = "- pem: |\n    of m\n"
	ofOneMeshToo = "- pem: |\n    of n\n"
)

func certificate(pem string, trustDomains ...string) meshconfig.CACertificate {
	return meshconfig.CACertificate{PEM: pem + "\n", TrustDomains: trustDomains}
}

func TestTrustIsWithdrawnFromTheMeshConfiguration(t *testing.T) {
	b, c := certificate("of b", "b.local"), certificate("of c", "c.local")
	for name, test := range map[string]struct {
		mesh   string
		wanted []meshconfig.CACertificate
		want   string
	}{
		"of a peer that is gone, and of no other":                          {mesh(anchorOfB, anchorOfC), []meshconfig.CACertificate{c}, mesh(anchorOfC)},
		"of the last peer, with the list":                                  {mesh(anchorOfB), nil, mesh()},
		"of a cluster of the same mesh, while another one stays":           {mesh(ofOneMesh, ofOneMeshToo), []meshconfig.CACertificate{certificate("of n")}, mesh(ofOneMeshToo)},
		"of a root that a peer has dropped, when its new one is there":     {mesh(anchorOfB, newAnchorOfB), []meshconfig.CACertificate{certificate("new of b", "b.local")}, mesh(newAnchorOfB)},
		"of one of two peers of a domain":                                  {mesh(anchorOfB, newAnchorOfB), []meshconfig.CACertificate{b}, mesh(anchorOfB)},
		"of one of two peers that share a root, for its domain":            {mesh(anchorOfB, bsAsCs), []meshconfig.CACertificate{certificate("renewed", "c.local")}, mesh(bsAsCs)},
		"of a gone peer also while another one is on its way":              {mesh(anchorOfB), []meshconfig.CACertificate{c}, mesh()},
		"not of a peer that stays":                                         {mesh(anchorOfB), []meshconfig.CACertificate{b}, mesh(anchorOfB)},
		"not before what replaces it is there: Helm does both at once":     {mesh(anchorOfB), []meshconfig.CACertificate{certificate("new of b", "b.local")}, mesh(anchorOfB)},
		"not in an entry that the module would not write":                  {mesh("- spiffeBundleUrl: https://b\n"), nil, mesh("- spiffeBundleUrl: https://b\n")},
		"not in an entry with more than the module writes":                 {mesh("- certSigners:\n  - s\n  pem: |\n    of b\n"), nil, mesh("- certSigners:\n  - s\n  pem: |\n    of b\n")},
		"and none is added to a configuration without any":                 {mesh(), []meshconfig.CACertificate{b}, mesh()},
		"and none is added beside one that is withdrawn":                   {mesh(anchorOfC), []meshconfig.CACertificate{b}, mesh()},
		"and one that is not of its trust domains does not count as there": {mesh(bsAsCs), []meshconfig.CACertificate{b}, mesh()},
		"and an empty configuration stays empty":                           {"", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			without, withdrawn, err := meshconfig.Withdraw(test.mesh, test.wanted)
			if err != nil {
				t.Fatal(err)
			}
			if without != test.want {
				t.Errorf("it is\n%s\n, want\n%s", without, test.want)
			}
			if (withdrawn == 0) != (without == test.mesh) {
				t.Errorf("%d certificates were withdrawn of\n%s\nand it is\n%s", withdrawn, test.mesh, without)
			}
		})
	}
}

func TestAMeshConfigurationThatCannotBeReadIsLeftAlone(t *testing.T) {
	for name, mesh := range map[string]string{
		"no YAML":                     "caCertificates: [",
		"no object":                   "- caCertificates",
		"certificates that are a map": "caCertificates: {pem: of b}",
		"certificates that are text":  "caCertificates: of b",
	} {
		t.Run(name, func(t *testing.T) {
			without, withdrawn, err := meshconfig.Withdraw(mesh, nil)
			if err == nil || without != mesh || withdrawn != 0 {
				t.Errorf("%d are withdrawn, it is %q, error %v", withdrawn, without, err)
			}
		})
	}
}
