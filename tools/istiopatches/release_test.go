package main

import (
	"fmt"
	"slices"
	"testing"
)

func TestOnlyReleasesAreRead(t *testing.T) {
	for tag, want := range map[string]string{
		"1.31.3": "1.31.3", "1.9.0": "1.9.0", "1.10.12": "1.10.12", "0.8.0": "0.8.0",
		"1.32.0-rc.1": "", "1.32.0-alpha.0": "", "1.32.0-beta.2": "", "1.31.0-rc.0^{}": "",
		"v1.31.3": "", "1.31": "", "1.31.3.1": "", "1.31.x": "", "1.031.3": "", "1.31.99999999999999999999": "", "": "",
		"release-1.31": "", "pkg/1.31.3": "",
	} {
		t.Run(tag, func(t *testing.T) {
			got, ok := parseRelease(tag)
			if ok != (want != "") || ok && got.String() != want {
				t.Errorf("%q is read as %s, %v", tag, got, ok)
			}
		})
	}
}

func TestReleasesAreOrderedByNumber(t *testing.T) {
	upstream := releasesOf([]string{"1.9.10", "1.9.2", "1.10.0", "1.9.9", "1.11.0-rc.1", "2.0.0", "istio"})

	if newest, ok := upstream.newest(minor{1, 9}); !ok || newest.String() != "1.9.10" {
		t.Errorf("the newest 1.9 is %s, %v", newest, ok)
	}
	if newest, ok := upstream.newest(minor{1, 11}); ok {
		t.Errorf("a pre-release made %s the newest 1.11", newest)
	}
	if got := fmt.Sprint(upstream.after(release{minor{1, 9}, 2})); got != "[1.9.9 1.9.10]" {
		t.Errorf("after 1.9.2 come %s", got)
	}
	if got := upstream.after(release{minor{1, 9}, 10}); len(got) != 0 {
		t.Errorf("after the newest come %s", got)
	}
	want := []minor{{2, 0}, {1, 10}}
	if got := upstream.minorsNewerThan(minor{1, 9}); !slices.Equal(got, want) {
		t.Errorf("newer than 1.9 are %s, want %s", got, want)
	}
}
