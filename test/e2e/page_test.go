//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// page is a document whose fenced blocks a test uses as they stand.
type page struct {
	t      *testing.T
	name   string
	blocks []pageBlock
}

type pageBlock struct{ section, language, text string }

// readPage of the repository.
func readPage(t *testing.T, name string) page {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	read := page{t: t, name: name}
	section, inBlock := "", false
	for line := range strings.Lines(string(content)) {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		title, isTitle := strings.CutPrefix(line, "## ")
		switch {
		case isFence && !inBlock:
			read.blocks, inBlock = append(read.blocks, pageBlock{section: section, language: fence}), true
		case isFence:
			inBlock = false
		case inBlock:
			read.blocks[len(read.blocks)-1].text += line
		case isTitle:
			section = strings.TrimSpace(title)
		}
	}
	return read
}

// commands of the section's block of that number, without prompts.
func (p page) commands(section string, number int) string {
	p.t.Helper()
	found := p.find(section, "console", "")
	if number >= len(found) {
		p.t.Fatalf("%s has %d blocks of commands in section %q, none of number %d", p.name, len(found), section, number)
	}
	var commands []string
	for line := range strings.Lines(found[number]) {
		command, isCommand := strings.CutPrefix(strings.TrimSpace(line), "$ ")
		if !isCommand {
			p.t.Fatalf("%s: %q in section %q is no command", p.name, line, section)
		}
		commands = append(commands, command)
	}
	return strings.Join(commands, "\n")
}

// yaml is the section's one block that contains all of the words.
func (p page) yaml(section string, words ...string) string {
	p.t.Helper()
	found := p.find(section, "yaml", words...)
	if len(found) != 1 {
		p.t.Fatalf("%s has %d blocks of YAML with %q in section %q, want 1", p.name, len(found), words, section)
	}
	return found[0]
}

func (p page) find(section, language string, words ...string) []string {
	var found []string
	for _, block := range p.blocks {
		lacks := func(word string) bool { return !strings.Contains(block.text, word) }
		if block.section == section && block.language == language && !slices.ContainsFunc(words, lacks) {
			found = append(found, block.text)
		}
	}
	return found
}
