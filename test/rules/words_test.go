package rules

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/golangci/misspell"
	"sigs.k8s.io/yaml"
)

// word that the code and its documentation do not use.
type word struct {
	// pattern matches it in a sentence, in lower case.
	pattern *regexp.Regexp
	// names are parts of identifiers and of file names that have the same fault.
	names []string
	// say is the word for it.
	say string
}

func sentence(pattern string) *regexp.Regexp { return regexp.MustCompile(`\b(?:` + pattern + `)\b`) }

// words are the vocabulary's: one word for one thing, and sentences that cannot be read two ways.
var words = []word{
	{sentence(`neighbou?r(s|ing|hood)?`), []string{"neighbour", "neighbours", "neighbor", "neighbors"}, "peer"},
	{sentence(`(a|an|the|each|every|no|one|this|of) joins?|joins that`), []string{"join", "joins", "joined", "joining"}, "peer"},
	{sentence(`meshed`), []string{"meshed"}, "multicluster"},
	{sentence(`told`), []string{"told"}, "reported, notified"},
	{sentence(`news`), []string{"news"}, "update, change"},
	{sentence(`visit(s|ed|or|ors|ing)?`), []string{"visit", "visits", "visited", "visitor"}, "poll, call"},
	{sentence(`standing`), []string{"standing"}, "state, retained"},
	{sentence(`sightings?`), []string{"sighting", "sightings"}, "resource"},
	{sentence(`patien(ce|t)`), []string{"patience", "patient"}, "deadline"},
	{sentence(`garbage`), []string{"garbage"}, "GC tuner, invalid"},
	{sentence(`spoilt`), []string{"spoilt"}, "corrupt"},
	{sentence(`upkeep`), []string{"upkeep"}, "sync"},
	{sentence(`presence`), []string{"presence"}, "existence"},
	{sentence(`gather(s|ed|ing)?`), []string{"gather", "gathered", "gathering"}, "batch"},
	{sentence(`sweep(s|ing)?|swept`), []string{"sweep"}, "prune"},
	{sentence(`of before`), nil, "earlier, older"},
	{sentence(`(is|are|was|be) over`), nil, "expired, ended"},
	{sentence(`who comes`), nil, "who calls"},
	{sentence(`pass(es)? by`), nil, "bypass"},
	{sentence(`borne`), nil, "tolerated"},
	{sentence(`takes? nobody`), nil, "needs nothing"},
	{sentence(`refus(e|es|ed|ing|al|als)`), nil, "reject"},
}

// fileNames are parts of file and folder names that say nothing to a newcomer.
var fileNames = []string{"fields", "empty", "feed", "waiters"}

// exemption of a phrase: another's name, a name of the contract, or a word in its ordinary sense.
type exemption struct {
	Phrase string `json:"phrase"`
	// In is the beginning of the paths in which the phrase is exempt; empty for all.
	In     string `json:"in,omitempty"`
	Reason string `json:"reason"`
	used   bool
}

// ignored files are the rules themselves, and licences.
var ignored = []string{"test/rules/", "LICENSE"}

func readExemptions(t *testing.T) []*exemption {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "exemptions.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var exemptions []*exemption
	if err := yaml.UnmarshalStrict(content, &exemptions); err != nil {
		t.Fatal(err)
	}
	for _, each := range exemptions {
		if each.Phrase == "" || each.Reason == "" {
			t.Fatalf("exemption %+v: phrase and reason are required", each)
		}
	}
	return exemptions
}

// without exempt phrases.
func without(text, path string, exemptions []*exemption) string {
	for _, each := range exemptions {
		if strings.HasPrefix(path, each.In) && strings.Contains(text, each.Phrase) {
			each.used = true
			text = strings.ReplaceAll(text, each.Phrase, "")
		}
	}
	return text
}

// checked files, with their texts.
func checked(t *testing.T) []string {
	t.Helper()
	endings := []string{".go", ".md", ".yaml", ".tpl", ".sh", ".c", "Makefile", "/run"}
	return slices.DeleteFunc(files(t, endings...), func(path string) bool {
		skip := func(prefix string) bool { return strings.HasPrefix(path, prefix) }
		return slices.ContainsFunc(ignored, skip)
	})
}

// texts of a file to check: of Go, comments, strings and declared names; of others, all lines.
func texts(t *testing.T, path string) (sentences, names []text) {
	t.Helper()
	names = append(names, text{1, strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))})
	if strings.HasSuffix(path, ".go") {
		prose, declared := parse(t, path)
		return prose, append(names, declared...)
	}
	for number, line := range strings.Split(read(t, path), "\n") {
		sentences = append(sentences, text{number + 1, line})
		for _, match := range testName.FindAllString(line, -1) {
			names = append(names, text{number + 1, match})
		}
	}
	return sentences, names
}

func TestTheVocabularyIsUsed(t *testing.T) {
	exemptions := readExemptions(t)
	for _, path := range checked(t) {
		for _, part := range strings.Split(filepath.ToSlash(path), "/") {
			if slices.ContainsFunc(parts(strings.TrimSuffix(part, filepath.Ext(part))), func(name string) bool { return slices.Contains(fileNames, name) }) {
				t.Errorf("%s: %q says nothing in a path", path, part)
			}
		}
		sentences, names := texts(t, path)
		for _, each := range sentences {
			left := strings.ToLower(without(each.text, path, exemptions))
			for _, word := range words {
				if found := word.pattern.FindString(left); found != "" {
					t.Errorf("%s:%d: %q: say %s", path, each.line, found, word.say)
				}
			}
		}
		for _, each := range names {
			if each.text == "keep" {
				t.Errorf("%s:%d: name %s: say retain, or what is kept", path, each.line, each.text)
			}
			left := parts(without(each.text, path, exemptions))
			for _, word := range words {
				for _, name := range word.names {
					if slices.Contains(left, name) {
						t.Errorf("%s:%d: name %s: say %s", path, each.line, each.text, word.say)
					}
				}
			}
		}
	}
	for _, each := range exemptions {
		if !each.used {
			t.Errorf("exemption %q in %q is not needed", each.Phrase, each.In)
		}
	}
}

func TestSpelling(t *testing.T) {
	speller := misspell.New()
	for _, path := range checked(t) {
		sentences, names := texts(t, path)
		for _, each := range slices.Concat(sentences, names) {
			if _, found := speller.Replace(each.text); len(found) > 0 {
				t.Errorf("%s:%d: %s: write %s", path, each.line, found[0].Original, found[0].Corrected)
			}
		}
	}
}
