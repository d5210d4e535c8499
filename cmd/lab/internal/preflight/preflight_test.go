package preflight

import (
	"strings"
	"testing"
)

func TestFindingsAreOneErrorWithCuresAndOneLineToCopy(t *testing.T) {
	err := Error([]Finding{
		{Problem: "no program nft", Cure: "install the package nftables", Package: "nftables"},
		{Problem: "no program umount", Cure: "install the package mount", Package: "mount"},
		{Problem: "no program mount", Cure: "install the package mount", Package: "mount"},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"- no program nft\n", "→ install the package nftables\n", "\nOn Debian and Ubuntu: apt-get install -y mount nftables\n", "make test-unit"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	if Error(nil) != nil {
		t.Error("an error without findings")
	}
}

func TestMissingCapabilitiesAreNamed(t *testing.T) {
	for name, test := range map[string]struct{ mask, want string }{
		"all of them":                     {"000001ffffffffff", ""},
		"without CAP_SYS_RESOURCE":        {"000001fffeffffff", ""},
		"a container without privileges":  {"00000000a80425fb", "root without CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_SYS_PTRACE"},
		"an invalid mask is not judged":   {"?", ""},
		"root without any capability (0)": {"0", "CAP_MKNOD"},
	} {
		t.Run(name, func(t *testing.T) {
			findings := lacking(test.mask)
			if (test.want == "") != (len(findings) == 0) || test.want != "" && !strings.Contains(findings[0].Problem, test.want) {
				t.Errorf("findings %+v, want %q", findings, test.want)
			}
		})
	}
}

func TestAMachineWithoutRoomIsNamed(t *testing.T) {
	const many = 100_000 // no machine has room for so many
	findings := checkRoom(Needs{StateDir: t.TempDir(), Clusters: many, Nodes: 1})
	if len(findings) != 2 || !strings.Contains(findings[0].Problem, "of memory") || !strings.Contains(findings[1].Problem, "are free below") {
		t.Errorf("findings %+v", findings)
	}
}
