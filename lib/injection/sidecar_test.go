package injection

import "testing"

func TestFullVersion(t *testing.T) {
	for name, test := range map[string]struct {
		sidecar Sidecar
		want    string
	}{
		"the injector's note":                    {Sidecar{AnnotatedVersion: "1.31.3", Image: "proxyv2:1.30.7"}, "1.31.3"},
		"a note that is no version":              {Sidecar{AnnotatedVersion: "newest", Image: "proxyv2:1.30.7"}, "1.30.7"},
		"the image's tag":                        {Sidecar{Image: "registry.example.com:5000/istio/proxyv2:1.30.7"}, "1.30.7"},
		"the tag of a variant":                   {Sidecar{Image: "istio/proxyv2:1.30.7-distroless"}, "1.30.7"},
		"a tag beside a digest":                  {Sidecar{Image: "istio/proxyv2:1.30.7@sha256:0123456789abcdef"}, "1.30.7"},
		"a digest alone":                         {Sidecar{Image: "istio/proxyv2@sha256:0123456789abcdef"}, Unknown},
		"a registry's port is no tag":            {Sidecar{Image: "registry.example.com:1.2.3/proxyv2"}, Unknown},
		"a tag that is no version":               {Sidecar{Image: "istio/proxyv2:latest"}, Unknown},
		"a sidecar without proxy (gRPC, no tag)": {Sidecar{Revision: "v1x31"}, Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.sidecar.FullVersion(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestForeign(t *testing.T) {
	for revision, want := range map[string]bool{"": false, "v1x31": false, Unknown: false, "1-28-0": true, Default: true} {
		if got := (Sidecar{Revision: revision}).Foreign(); got != want {
			t.Errorf("%q: got %v", revision, got)
		}
	}
}
