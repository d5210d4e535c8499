package options_test

import (
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/spf13/pflag"

	"github.com/deckhouse-mesh/istio/cmd/operator/internal/options"
	"github.com/deckhouse-mesh/istio/lib/istioversion"
	"github.com/deckhouse-mesh/istio/lib/names"
)

// installed returns the options of an executable that lies in a whole installation.
func installed(t *testing.T) options.Options {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"bin", "modules", "global-hooks"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return options.Default(filepath.Join(root, "bin", "operator"))
}

func TestOptions(t *testing.T) {
	cases := map[string]struct {
		args []string
		want string
	}{
		"need no flags":                        {nil, ""},
		"reject a folder that is not there":    {[]string{"--modules-dir=/nowhere"}, "--modules-dir: /nowhere is not a folder"},
		"reject a kubeconfig that is absent":   {[]string{"--kubeconfig=/nowhere/config"}, "--kubeconfig: stat /nowhere/config"},
		"take versions of Istio in the images": {[]string{"--istio-versions=" + istioversion.Default().ModuleFull() + "," + istioversion.All()[1].Full()}, ""},
		"reject a version that there is not":   {[]string{"--istio-versions=1.4.0"}, "--istio-versions: 1.4.0: there is no Istio 1.4"},
		"reject an impossible port":            {[]string{"--listen-port=0"}, "--listen-port: 0 is not a port"},
		"reject an unknown log level":          {[]string{"--log-level=loud"}, `there is no level "loud", use one of debug, info, warn, error`},
		"reject what names no Secret":          {[]string{"--registry-secret="}, `--registry-secret: "" is not the name of a Secret`},
		"reject an empty namespace":            {[]string{"--namespace="}, "--namespace must not be empty"},
		"reject a client that may not ask":     {[]string{"--kube-client-burst=0"}, "must be above 0"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			opts := installed(t)
			flags := pflag.NewFlagSet("operator", pflag.ContinueOnError)
			opts.Bind(flags)
			g.Expect(flags.Parse(c.args)).To(Succeed())
			if err := opts.Complete(); c.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError(ContainSubstring(c.want)))
			}
		})
	}
}

// TestDigestsAreReadFromTheFolderOfTheModulesName, which is another under a second name.
func TestDigestsAreReadFromTheFolderOfTheModulesName(t *testing.T) {
	opts := installed(t)
	if want := filepath.Join(opts.ModulesDir, "110-"+names.Module(), "images_digests.json"); opts.ImagesDigests != want {
		t.Errorf("the digests are read from %s, and the bundle has them in %s", opts.ImagesDigests, want)
	}
}

func TestPathsBecomeAbsolute(t *testing.T) {
	g := NewWithT(t)
	opts := installed(t)
	t.Chdir(filepath.Dir(opts.ModulesDir))
	opts.ModulesDir, opts.TempDir = "modules", "tmp"
	g.Expect(opts.Complete()).To(Succeed())
	g.Expect(filepath.IsAbs(opts.ModulesDir)).To(BeTrue())
	g.Expect(filepath.IsAbs(opts.TempDir)).To(BeTrue())
}

func TestAllAddressesOfBothFamiliesAreListenedAtByDefault(t *testing.T) {
	g := NewWithT(t)
	opts := installed(t)
	g.Expect(opts.Listen()).To(Equal(":9650"))
	flags := pflag.NewFlagSet("operator", pflag.ContinueOnError)
	opts.Bind(flags)
	g.Expect(flags.FlagUsages()).To(ContainSubstring("(default all, IPv4 and IPv6)"))
}

func TestListenAddressMayBeIPv6(t *testing.T) {
	g := NewWithT(t)
	g.Expect((&options.Options{ListenAddress: "::1", ListenPort: 9650}).Listen()).To(Equal("[::1]:9650"))
}
