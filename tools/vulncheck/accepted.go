package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
)

// Accepted is a vulnerability that the project's programs call and that cannot be mended yet.
type Accepted struct {
	// ID in the Go vulnerability database: GO-2026-4321.
	ID string `json:"id"`
	// Reason says why it cannot be mended, and what it means for the module.
	Reason string `json:"reason"`
}

func loadAccepted(file string) ([]Accepted, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the accepted vulnerabilities: %w", err)
	}
	accepted, err := parseAccepted(content)
	if err != nil {
		return nil, fmt.Errorf("read the accepted vulnerabilities in %s: %w", file, err)
	}
	return accepted, nil
}

func parseAccepted(content []byte) ([]Accepted, error) {
	var accepted []Accepted
	if err := yaml.UnmarshalStrict(content, &accepted); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i, entry := range accepted {
		switch {
		case entry.ID == "":
			return nil, fmt.Errorf("entry %d has no id", i+1)
		case entry.Reason == "":
			return nil, fmt.Errorf("%s has no reason", entry.ID)
		case seen[entry.ID]:
			return nil, fmt.Errorf("%s is listed twice", entry.ID)
		}
		seen[entry.ID] = true
	}
	return accepted, nil
}
