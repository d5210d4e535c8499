package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tags lists the names of all tags of a repository, annotated or not.
func tags(ctx context.Context, repository string) ([]string, error) {
	// --refs leaves out what annotated tags point at ("refs/tags/1.31.3^{}").
	out, err := git(ctx, "ls-remote", "--tags", "--refs", "--", repository)
	if err != nil {
		return nil, fmt.Errorf("list the tags of %s: %w", shown(repository), err)
	}
	var names []string
	for line := range strings.Lines(out) {
		if _, name, ok := strings.Cut(strings.TrimSpace(line), "refs/tags/"); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// dates fetches the given tags into dir, which becomes a bare repository, and
// returns when each was made: an annotated tag has a date of its own, a
// lightweight one that of its commit. Neither history nor files are fetched.
func dates(ctx context.Context, repository, dir string, wanted []release) (map[release]time.Time, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	if _, err := git(ctx, "init", "--quiet", "--bare", dir); err != nil {
		return nil, fmt.Errorf("make a temporary repository in %s: %w", dir, err)
	}
	// A housekeeping process in the background would write into dir while it is removed.
	fetch := []string{
		"--git-dir", dir, "-c", "gc.auto=0", "-c", "maintenance.auto=false",
		"fetch", "--quiet", "--no-tags", "--depth", "1", "--filter=blob:none", "--", repository,
	}
	for _, r := range wanted {
		fetch = append(fetch, fmt.Sprintf("refs/tags/%s:refs/tags/%s", r, r))
	}
	if _, err := git(ctx, fetch...); err != nil {
		return nil, fmt.Errorf("fetch the dates of %d tags from %s: %w", len(wanted), shown(repository), err)
	}
	return readDates(ctx, dir)
}

// readDates returns when each release was made whose tag the repository in dir has.
func readDates(ctx context.Context, dir string) (map[release]time.Time, error) {
	out, err := git(ctx, "--git-dir", dir, "for-each-ref", "--format=%(refname:lstrip=2) %(creatordate:unix)", "refs/tags")
	if err != nil {
		return nil, fmt.Errorf("read the dates of tags: %w", err)
	}
	dates := map[release]time.Time{}
	for line := range strings.Lines(out) {
		name, seconds, _ := strings.Cut(strings.TrimSpace(line), " ")
		r, ok := parseRelease(name)
		if !ok {
			continue
		}
		unix, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read the date of tag %s: %w", name, err)
		}
		dates[r] = time.Unix(unix, 0).UTC()
	}
	return dates, nil
}

// git runs git and returns its output; the error holds what git reported.
func git(ctx context.Context, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", arguments...)
	command.Env = environment(os.Environ())
	// Children of git may hold the pipes for longer than git itself.
	command.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	switch {
	case err == nil:
		return stdout.String(), nil
	case errors.Is(err, exec.ErrNotFound):
		return "", errors.New("git is not installed: install it")
	case ctx.Err() != nil:
		return "", fmt.Errorf("git did not finish: %w", context.Cause(ctx))
	case stderr.Len() > 0:
		return "", errors.New(strings.Join(strings.Fields(stderr.String()), " "))
	}
	return "", err
}

// Variables by which git hands its own repository to the hooks it runs, and
// which would lead commands meant for the temporary one into that repository.
var ownRepository = []string{
	"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
	"GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_SHALLOW_FILE",
}

// environment is that of the caller without a repository of its own, and
// without questions: a private or misspelt URL is an error, not a prompt.
func environment(caller []string) []string {
	out := slices.DeleteFunc(slices.Clone(caller), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(ownRepository, name)
	})
	return append(out, "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
}

// shown is a repository's address as messages may show it: without a password.
func shown(repository string) string {
	parsed, err := url.Parse(repository)
	if err != nil || parsed.User == nil {
		return repository
	}
	return parsed.Redacted()
}
