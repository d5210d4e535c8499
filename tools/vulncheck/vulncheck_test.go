package main

import (
	"strings"
	"testing"
	"testing/fstest"
)

// stream is what govulncheck prints about one vulnerability in code that is
// called, on two ways, and one in code that is merely linked.
const stream = `
{"config": {"protocol_version": "v1.0.0", "scanner_name": "govulncheck"}}
{"progress": {"message": "Fetching vulnerabilities from the database..."}}
{"osv": {"id": "GO-2026-0001", "summary": "Frames exhaust memory in golang.org/x/net"}}
{"osv": {"id": "GO-2026-0002", "summary": "Archives escape their folder in example.com/archive"}}
{"finding": {"osv": "GO-2026-0001", "fixed_version": "v0.60.0", "trace": [{"module": "golang.org/x/net", "version": "v0.56.0"}]}}
{"finding": {"osv": "GO-2026-0002", "trace": [{"module": "example.com/archive", "version": "v1.0.0", "package": "example.com/archive"}]}}
{"finding": {"osv": "GO-2026-0001", "fixed_version": "v0.60.0", "trace": [
  {"module": "golang.org/x/net", "version": "v0.56.0", "package": "golang.org/x/net/http2", "function": "Serve", "receiver": "*Server"},
  {"module": "github.com/deckhouse-mesh/istio", "package": "github.com/deckhouse-mesh/istio/cmd/operator", "function": "main"}]}}
{"finding": {"osv": "GO-2026-0001", "fixed_version": "v0.60.0", "trace": [
  {"module": "golang.org/x/net", "version": "v0.56.0", "package": "golang.org/x/net/http2", "function": "Close"},
  {"module": "github.com/deckhouse-mesh/istio", "package": "github.com/deckhouse-mesh/istio/cmd/lab", "function": "main"}]}}
`

func TestOnlyVulnerabilitiesThatAreCalledAreFound(t *testing.T) {
	found, err := decode(strings.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	want := Vulnerability{
		ID: "GO-2026-0001", Summary: "Frames exhaust memory in golang.org/x/net",
		Module: "golang.org/x/net", Version: "v0.56.0", FixedIn: "v0.60.0",
		Called: "golang.org/x/net/http2.*Server.Serve", By: "github.com/deckhouse-mesh/istio/cmd/operator.main",
	}
	if len(found) != 1 || found[want.ID] != want {
		t.Errorf("found %+v, want %+v", found, want)
	}
}

func TestATruncatedStreamIsAnError(t *testing.T) {
	if found, err := decode(strings.NewReader(stream[:len(stream)-20])); err == nil {
		t.Errorf("found %+v, want an error", found)
	}
}

func TestJudge(t *testing.T) {
	mended := Vulnerability{ID: "GO-2026-0001", Module: "golang.org/x/net", Version: "v0.56.0", FixedIn: "v0.60.0", Called: "http2.Serve", By: "operator.main"}
	unmended := Vulnerability{ID: "GO-2026-0002", Module: "example.com/archive", Version: "v1.0.0", Called: "archive.Unpack", By: "lab.main"}
	for name, c := range map[string]struct {
		found    []Vulnerability
		accepted []Accepted
		problems []string // each is part of the error; none: no error
	}{
		"nothing is found and nothing accepted": {},
		"what is found is accepted":             {found: []Vulnerability{unmended}, accepted: []Accepted{{unmended.ID, "only the lab calls it"}}},
		"a vulnerability with a fix asks for the version": {
			found: []Vulnerability{mended}, problems: []string{"GO-2026-0001 in golang.org/x/net v0.56.0", "operator.main calls http2.Serve", "take v0.60.0"},
		},
		"a vulnerability without a fix asks for a reason": {
			found: []Vulnerability{unmended}, problems: []string{"GO-2026-0002", "no version mends it"},
		},
		"an acceptance of what is no longer found fails": {
			accepted: []Accepted{{mended.ID, "needs another addon-operator"}}, problems: []string{"GO-2026-0001 is no longer found"},
		},
		"one acceptance accepts one": {
			found: []Vulnerability{mended, unmended}, accepted: []Accepted{{unmended.ID, "only the lab calls it"}}, problems: []string{"GO-2026-0001"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := map[string]Vulnerability{}
			for _, v := range c.found {
				found[v.ID] = v
			}
			err := judge(found, c.accepted)
			if (err != nil) != (len(c.problems) > 0) {
				t.Fatalf("judge: %v, want problems %q", err, c.problems)
			}
			for _, problem := range c.problems {
				if !strings.Contains(err.Error(), problem) {
					t.Errorf("judge says %q, without %q", err, problem)
				}
			}
		})
	}
}

func TestAcceptanceNeedsAnIDAndAReason(t *testing.T) {
	for content, problem := range map[string]string{
		"- {id: GO-2026-0001, reason: only the lab calls it}": "",
		"[]":                      "",
		"- {reason: nobody says}": "no id",
		"- {id: GO-2026-0001}":    "GO-2026-0001 has no reason",
		"- {id: GO-2026-0001, reason: one}\n- {id: GO-2026-0001, reason: another}":        "listed twice",
		"- {id: GO-2026-0001, reason: only the lab calls it, until: the end of the year}": "until",
	} {
		_, err := parseAccepted([]byte(content))
		if (err != nil) != (problem != "") || err != nil && !strings.Contains(err.Error(), problem) {
			t.Errorf("parse %q: %v, want %q", content, err, problem)
		}
	}
}

func TestTheProjectsOwnListIsWellFormed(t *testing.T) {
	if _, err := loadAccepted("accepted.yaml"); err != nil {
		t.Error(err)
	}
}

func TestAScanIsRepeatedWhenWhatItDependsOnChanges(t *testing.T) {
	const before = "package main"
	sources := func(changed, content string) fstest.MapFS {
		files := fstest.MapFS{}
		for _, file := range []string{
			"go.sum", "cmd/lab/main.go", "cmd/lab/main_test.go", "README.md", ".cache/generated.go",
			"tools/kube/go.mod", "tools/kube/main.go", "tools/vuln/go.mod", "tools/vuln/go.sum",
		} {
			files[file] = &fstest.MapFile{Data: []byte(before)}
		}
		files[changed] = &fstest.MapFile{Data: []byte(content)}
		return files
	}
	digestOf := func(files fstest.MapFS, version string) string {
		sum, err := digest(files, version)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	same := digestOf(sources("go.sum", before), "go1.26.11")
	for file, repeated := range map[string]bool{
		"go.sum": true, "cmd/lab/main.go": true, "cmd/lab/another.go": true, "tools/vuln/go.sum": true,
		"cmd/lab/main_test.go": false, "README.md": false, ".cache/generated.go": false, "tools/kube/main.go": false,
	} {
		if changed := digestOf(sources(file, "package other"), "go1.26.11") != same; changed != repeated {
			t.Errorf("a change of %s repeats the scan: %t, want %t", file, changed, repeated)
		}
	}
	if digestOf(sources("go.sum", before), "go1.26.12") == same {
		t.Error("another Go does not repeat the scan")
	}
}
