package injection

import "testing"

func label(value string) *string { return &value }

func TestRevision(t *testing.T) {
	for name, test := range map[string]struct {
		namespace Namespace
		pod       Pod
		want      string
	}{
		"nobody asks":                                    {Namespace{}, Pod{}, ""},
		"the namespace enables injection":                {Namespace{Injection: label("enabled")}, Pod{}, Default},
		"the namespace disables injection":               {Namespace{Injection: label("disabled")}, Pod{Inject: label("true")}, ""},
		"the namespace disables it against its revision": {Namespace{Injection: label("disabled"), Revision: label("v1x31")}, Pod{}, ""},
		"the namespace names a revision":                 {Namespace{Revision: label("v1x30")}, Pod{}, "v1x30"},
		"the namespace names the default tag":            {Namespace{Revision: label("default")}, Pod{}, Default},
		"istio-injection goes before the revision":       {Namespace{Injection: label("enabled"), Revision: label("v1x30")}, Pod{}, Default},
		"the namespace goes before the Pod's revision":   {Namespace{Revision: label("v1x30")}, Pod{Revision: label("v1x31")}, "v1x30"},
		"an enabled one goes before the Pod's revision":  {Namespace{Injection: label("enabled")}, Pod{Revision: label("v1x30")}, Default},
		"the Pod asks for itself":                        {Namespace{}, Pod{Inject: label("true")}, Default},
		"the Pod names a revision":                       {Namespace{}, Pod{Revision: label("v1x30")}, "v1x30"},
		"the Pod names a revision and asks":              {Namespace{}, Pod{Revision: label("v1x30"), Inject: label("true")}, "v1x30"},
		"the Pod names a revision and rejects":           {Namespace{}, Pod{Revision: label("v1x30"), Inject: label("false")}, ""},
		"the Pod's empty revision matches no webhook":    {Namespace{}, Pod{Revision: label(""), Inject: label("true")}, ""},
		"the Pod rejects by label":                       {Namespace{Revision: label("v1x30")}, Pod{Inject: label("false")}, ""},
		"the Pod rejects by annotation":                  {Namespace{Injection: label("enabled")}, Pod{InjectAnnotation: "false"}, ""},
		"the label goes before the annotation":           {Namespace{Injection: label("enabled")}, Pod{Inject: label("true"), InjectAnnotation: "false"}, Default},
		"an annotation alone calls no webhook":           {Namespace{}, Pod{InjectAnnotation: "true"}, ""},
		"a label that means nothing leaves the default":  {Namespace{Injection: label("enabled")}, Pod{Inject: label("maybe"), InjectAnnotation: "false"}, Default},
		"the node's network is left alone":               {Namespace{Injection: label("enabled")}, Pod{HostNetwork: true}, ""},
		"kube-system is left alone":                      {Namespace{Name: "kube-system", Injection: label("enabled")}, Pod{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Revision(test.namespace, test.pod); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestNamespaceRevision(t *testing.T) {
	for name, test := range map[string]struct {
		namespace Namespace
		want      string
	}{
		"no label":                             {Namespace{}, ""},
		"enabled":                              {Namespace{Injection: label("enabled")}, Default},
		"disabled, whatever the revision says": {Namespace{Injection: label("disabled"), Revision: label("v1x31")}, ""},
		"a revision":                           {Namespace{Revision: label("v1x31")}, "v1x31"},
		"a namespace without sidecars":         {Namespace{Name: "kube-public", Revision: label("v1x31")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := NamespaceRevision(test.namespace); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestOwn(t *testing.T) {
	for revision, want := range map[string]bool{
		"v1x31": true, "v1x19": true, "default": false, "1-28-0": false, "v1x31-canary": false, "unknown": false, "": false,
	} {
		if Own(revision) != want {
			t.Errorf("%q: got %v", revision, !want)
		}
	}
}
