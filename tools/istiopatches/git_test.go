package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// upstreamRepository is a repository that a test makes with git.
type upstreamRepository struct {
	t   *testing.T
	dir string
}

// isolate keeps a person's git configuration out of the test, and the test's folders in its own.
func isolate(t *testing.T) (temporary string) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatal("the tests need git: ", err)
	}
	temporary = t.TempDir()
	t.Setenv("TMPDIR", temporary)
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	for _, variable := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+variable+"_NAME", "a maker of Istio")
		t.Setenv("GIT_"+variable+"_EMAIL", "maker@example.com")
	}
	return temporary
}

func newUpstream(t *testing.T) upstreamRepository {
	t.Helper()
	u := upstreamRepository{t, t.TempDir()}
	u.git("", "init", "--quiet")
	u.git("", "config", "uploadpack.allowFilter", "true")
	return u
}

func (u upstreamRepository) url() string { return "file://" + u.dir }

func (u upstreamRepository) git(made string, arguments ...string) string {
	u.t.Helper()
	command := exec.Command("git", append([]string{"-C", u.dir}, arguments...)...)
	command.Env = environment(os.Environ())
	if made != "" {
		command.Env = append(command.Env, "GIT_AUTHOR_DATE="+made+"T12:00:00Z", "GIT_COMMITTER_DATE="+made+"T12:00:00Z")
	}
	out, err := command.CombinedOutput()
	if err != nil {
		u.t.Fatalf("git %s: %v: %s", strings.Join(arguments, " "), err, out)
	}
	return string(out)
}

// commit makes a commit with a file of its own on the given day.
func (u upstreamRepository) commit(made string) {
	u.t.Helper()
	if err := os.WriteFile(filepath.Join(u.dir, "file-"+made), []byte(made), 0o600); err != nil {
		u.t.Fatal(err)
	}
	u.git("", "add", ".")
	u.git(made, "commit", "--quiet", "--message", "work of "+made)
}

// lightweight tags a commit of the given day.
func (u upstreamRepository) lightweight(name, committed string) {
	u.t.Helper()
	u.commit(committed)
	u.git("", "tag", name)
}

// annotated tags a commit of one day on another.
func (u upstreamRepository) annotated(name, committed, tagged string) {
	u.t.Helper()
	u.commit(committed)
	u.git(tagged, "tag", "--annotate", "--message", "Istio "+name, name)
}

func TestTagsOfBothKindsAreListed(t *testing.T) {
	isolate(t)
	upstream := newUpstream(t)
	upstream.lightweight("1.31.2", "2026-10-20")
	upstream.annotated("1.31.3", "2026-11-18", "2026-11-20")
	upstream.git("", "branch", "1.31.9")

	names, err := tags(t.Context(), upstream.url())
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	if want := []string{"1.31.2", "1.31.3"}; !slices.Equal(names, want) {
		t.Errorf("the tags are %q, want %q", names, want)
	}
}

func TestDatesAreThoseOfAnnotatedTagsOrOfTheCommitsOfLightweightOnes(t *testing.T) {
	isolate(t)
	upstream := newUpstream(t)
	upstream.lightweight("1.31.1", "2026-09-29")
	upstream.lightweight("1.31.2", "2026-10-20")
	upstream.annotated("1.31.3", "2026-11-18", "2026-11-20")

	dir := filepath.Join(t.TempDir(), "dates")
	made, err := dates(t.Context(), upstream.url(), dir, []release{{minor{1, 31}, 2}, {minor{1, 31}, 3}})
	if err != nil {
		t.Fatal(err)
	}
	if len(made) != 2 || date(made[release{minor{1, 31}, 2}]) != "2026-10-20" || date(made[release{minor{1, 31}, 3}]) != "2026-11-20" {
		t.Errorf("the dates are %v", made)
	}
	fetched := upstreamRepository{t, dir}
	if commits := strings.TrimSpace(fetched.git("", "rev-list", "--all", "--count")); commits != "2" {
		t.Errorf("%s commits were fetched for two tags", commits)
	}
	if objects := fetched.git("", "cat-file", "--batch-all-objects", "--batch-check=%(objecttype)"); strings.Contains(objects, "blob") {
		t.Error("files were fetched, too")
	}
}

func TestARepositoryThatFiltersNothingGivesDatesAllTheSame(t *testing.T) {
	isolate(t)
	upstream := newUpstream(t)
	upstream.git("", "config", "uploadpack.allowFilter", "false")
	upstream.lightweight("1.31.2", "2026-10-20")

	made, err := dates(t.Context(), upstream.url(), filepath.Join(t.TempDir(), "dates"), []release{{minor{1, 31}, 2}})
	if err != nil || date(made[release{minor{1, 31}, 2}]) != "2026-10-20" {
		t.Errorf("the dates are %v, %v", made, err)
	}
}

func TestTheRepositoryOfAGitHookIsLeftAlone(t *testing.T) {
	isolate(t)
	upstream, own := newUpstream(t), newUpstream(t)
	upstream.lightweight("1.31.2", "2026-10-20")
	own.lightweight("1.0.0", "2020-01-01")
	before := own.git("", "config", "--list", "--local") + own.git("", "for-each-ref")

	t.Setenv("GIT_DIR", filepath.Join(own.dir, ".git"))
	t.Setenv("GIT_WORK_TREE", own.dir)
	made, err := dates(t.Context(), upstream.url(), filepath.Join(t.TempDir(), "dates"), []release{{minor{1, 31}, 2}})
	if err != nil || len(made) != 1 {
		t.Errorf("the dates are %v, %v", made, err)
	}
	if after := own.git("", "config", "--list", "--local") + own.git("", "for-each-ref"); after != before {
		t.Errorf("the repository was\n%s and is\n%s", before, after)
	}
}

func TestGitIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := tags(t.Context(), "file:///nowhere"); err == nil || !strings.Contains(err.Error(), "git is not installed") {
		t.Errorf("the error is %v", err)
	}
}

func TestMessagesHideThePasswordOfAnAddress(t *testing.T) {
	for repository, want := range map[string]string{
		"https://github.com/istio/istio":             "https://github.com/istio/istio",
		"https://robot:secret@git.example.com/istio": "https://robot:xxxxx@git.example.com/istio",
		"git@git.example.com:istio/istio.git":        "git@git.example.com:istio/istio.git",
		"/srv/istio.git":                             "/srv/istio.git",
	} {
		if got := shown(repository); got != want {
			t.Errorf("%s is shown as %s", repository, got)
		}
	}
}

func TestGitEndsAtTheDeadline(t *testing.T) {
	isolate(t)
	// A program in the place of git that would never end by itself.
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "git"), []byte("#!/bin/sh\nexec sleep 1000\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := tags(ctx, "file:///nowhere"); err == nil || !strings.Contains(err.Error(), "git did not finish") {
		t.Errorf("the error is %v", err)
	}
}
