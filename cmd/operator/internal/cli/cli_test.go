package cli

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestHelpSaysWhereIdentitiesAreStored(t *testing.T) {
	NewWithT(t).Expect(rootCommand(nil).Long).To(ContainSubstring("d8-system"))
}

func TestExitCodes(t *testing.T) {
	cases := map[string]struct {
		args []string
		want int
	}{
		"help succeeds":                     {[]string{"--help"}, exitOK},
		"version succeeds":                  {[]string{"version"}, exitOK},
		"an unknown flag is wrong usage":    {[]string{"--bogus"}, exitUsage},
		"an unknown command is wrong usage": {[]string{"bogus"}, exitUsage},
		"a wrong value is wrong usage":      {[]string{"start", "--listen-port=0"}, exitUsage},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			NewWithT(t).Expect(Execute(c.args, nil)).To(Equal(c.want))
		})
	}
}
