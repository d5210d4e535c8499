package kubelet

import "testing"

func TestExpand(t *testing.T) {
	variables := map[string]string{"POD_IP": "127.1.2.3", "EMPTY": ""}
	for name, test := range map[string]struct{ text, want string }{
		"a known variable is replaced":             {"--listen=$(POD_IP):8443", "--listen=127.1.2.3:8443"},
		"an empty variable leaves nothing":         {"[$(EMPTY)]", "[]"},
		"an unknown variable stays":                {"$(NOBODY)", "$(NOBODY)"},
		"two dollars are one that starts nothing":  {"$$(POD_IP)", "$(POD_IP)"},
		"a reference that is not closed stays":     {"$(POD_IP", "$(POD_IP"},
		"a dollar at the end stays":                {"5$", "5$"},
		"shell syntax is not this syntax":          {"${POD_IP} $POD_IP", "${POD_IP} $POD_IP"},
		"several references in a row are replaced": {"$(POD_IP)$(POD_IP)", "127.1.2.3127.1.2.3"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := expand(test.text, variables); got != test.want {
				t.Fatalf("expand(%q) = %q, want %q", test.text, got, test.want)
			}
		})
	}
}

func TestRewriteOfMountPaths(t *testing.T) {
	rewriter := newPathRewriter(map[string]string{"/etc/tls": "/lab/tls", "/etc/tls/deep/": "/lab/deep", "/etc": "/lab/etc"})
	for name, test := range map[string]struct{ text, want string }{
		"the path itself":                            {"/etc/tls", "/lab/tls"},
		"a file below it, in a flag":                 {"--cert=/etc/tls/tls.crt", "--cert=/lab/tls/tls.crt"},
		"the longest mount wins":                     {"/etc/tls/deep/x", "/lab/deep/x"},
		"a path that only begins alike is another's": {"/etc/tls2", "/lab/etc/tls2"},
		"the end of a longer path is not it":         {"/my/etc/tls", "/my/etc/tls"},
		"several in a list":                          {"/etc/tls:/etc/hosts", "/lab/tls:/lab/etc/hosts"},
		"other text stays":                           {"https://host/etc", "https://host/etc"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := rewriter.rewrite(test.text); got != test.want {
				t.Fatalf("rewrite(%q) = %q, want %q", test.text, got, test.want)
			}
		})
	}
}
