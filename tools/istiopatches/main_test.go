package main

import (
	"os"
	"strings"
	"testing"
)

// run returns what a person sees of a comparison on the day of the tests.
func run(t *testing.T, repository string, table ...row) (status int, out, problems string) {
	t.Helper()
	var printed, reported strings.Builder
	status = check{table, repository, noon}.run(t.Context(), &printed, &reported)
	return status, printed.String(), reported.String()
}

func TestAComparisonWithARepository(t *testing.T) {
	temporary := isolate(t)
	upstream := newUpstream(t)
	upstream.lightweight("1.30.6", "2026-11-01")
	upstream.lightweight("1.30.7", "2026-11-19")
	upstream.annotated("1.31.2", "2026-10-18", "2026-10-20")
	upstream.annotated("1.31.3", "2026-11-18", "2026-11-20")
	upstream.lightweight("1.31.4-rc.1", "2026-11-21")
	upstream.annotated("1.32.0-beta.1", "2026-11-22", "2026-11-22")

	for name, test := range map[string]struct {
		table  []row
		status int
		want   []string
	}{
		"status 0 when all is current": {
			[]row{aRow("1.31.3", "2027-05-31"), aRow("1.30.7", "2027-02-28")}, statusCurrent,
			[]string{"1.31.3  1.31.3  2026-11-20  -", "1.30.7  1.30.7  2026-11-19  -"}},
		"status 1 when a patch is missing": {
			[]row{aRow("1.31.2", "2027-05-31"), aRow("1.30.7", "2027-02-28")}, statusBehind,
			[]string{"1.31.2  1.31.3  2026-11-20  1 patch, 9 days", "set patch to 3", "istio-patches: behind: 1.31; docs/PATCHES.md"}},
		"status 1 when a minor is past its end of life": {
			[]row{aRow("1.31.3", "2027-05-31"), aRow("1.30.7", "2026-11-28")}, statusBehind,
			[]string{"2026-11-28, 1 day ago", "istio-patches: past the end of life: 1.30; docs/PATCHES.md"}},
		"a newer minor is listed and changes no status": {
			[]row{aRow("1.30.7", "2027-02-28")}, statusCurrent,
			[]string{"1.31   -       1.31.3  2026-11-20"}},
		"status 2 when upstream lacks what is run and nothing is known to be behind": {
			[]row{aRow("1.31.3", "2027-05-31"), aRow("1.29.9", "2026-12-31")}, statusTrouble,
			[]string{"1.29   1.29.9  -", "istio-patches: cannot be compared: 1.29"}},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, problems := run(t, upstream.url(), test.table...)
			if status != test.status {
				t.Errorf("the status is %d, want %d", status, test.status)
			}
			for _, want := range test.want {
				if !strings.Contains(out+problems, want) {
					t.Errorf("printed:\n%s%s\nwant %q in it", out, problems, want)
				}
			}
			if strings.Contains(out, "rc") || strings.Contains(out, "1.32") {
				t.Errorf("a pre-release is listed:\n%s", out)
			}
		})
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestARepositoryThatCannotBeReadIsTroubleWithAMessage(t *testing.T) {
	temporary := isolate(t)
	empty, prereleases, others := newUpstream(t), newUpstream(t), newUpstream(t)
	others.lightweight("1.20.0", "2023-11-14")
	prereleases.lightweight("1.31.0-rc.1", "2026-08-01")
	prereleases.lightweight("v1.31.0", "2026-08-02")

	for name, test := range map[string]struct{ repository, want string }{
		"a folder that does not exist":         {"file:///nowhere/istio", "list the tags of file:///nowhere/istio: "},
		"a server that does not answer":        {"http://127.0.0.1:1/istio", "check the network, and ISTIO_REPOSITORY if it is set"},
		"an invalid address":                   {"nonsense://istio", "list the tags of nonsense://istio: "},
		"an address that looks like an option": {"--upload-pack=false", "list the tags of --upload-pack=false: "},
		"a repository without tags":            {empty.url(), "no release of a minor in lib/istioversion/versions.yaml among its 0 tags"},
		"a repository of pre-releases only":    {prereleases.url(), "among its 2 tags: set ISTIO_REPOSITORY"},
		"a repository of other minors only":    {others.url(), "among its 1 tags: set ISTIO_REPOSITORY"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, problems := run(t, test.repository, aRow("1.31.3", "2027-05-31"))
			if status != statusTrouble || out != "" || !strings.HasPrefix(problems, "istio-patches: ") || !strings.Contains(problems, test.want) {
				t.Errorf("status %d, printed %q, reported %q, want %q", status, out, problems, test.want)
			}
		})
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestTheModulesTableIsRead(t *testing.T) {
	table, err := moduleTable()
	if err != nil || len(table) == 0 {
		t.Fatalf("the table is %v, %v", table, err)
	}
	for _, r := range table {
		if r.endOfLife.Date.IsZero() {
			t.Errorf("%s has no end of life", r.ours)
		}
	}
}
