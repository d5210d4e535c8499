// Package statuspatch makes the JSON patch between two versions of a status, so that
// the cost of a change does not grow with all that a peer publishes.
//
// gomodules.xyz/jsonpatch/v2 compares lists by position: for one more service in the
// middle of 10,000 it makes 5,001 operations of 510 kB, this package one of 113 bytes.
// Both take 40 ms.
package statuspatch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Operation of a JSON patch (RFC 6902).
type Operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

// Operations of a patch.
const (
	Test   = "test"
	Add    = "add"
	Remove = "remove"
)

// Diff returns operations that turn before, the JSON object at path, into after.
// They are for that very object: a caller adds a test that it is.
//
// The elements of lists with these names, at any depth, are compared. A list
// in another order, or with many changes, is written whole, as all other lists are.
func Diff(path string, before, after []byte, lists ...string) ([]Operation, error) {
	old, err := decode[map[string]json.RawMessage](before)
	if err != nil {
		return nil, fmt.Errorf("decode the JSON at %s: %w", path, err)
	}
	wanted, err := decode[map[string]json.RawMessage](after)
	if err != nil {
		return nil, fmt.Errorf("decode the JSON wanted at %s: %w", path, err)
	}
	var operations []Operation
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if _, stays := wanted[name]; !stays {
			operations = append(operations, Operation{Op: Remove, Path: child(path, name)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		from, to := old[name], wanted[name]
		if bytes.Equal(from, to) {
			continue
		}
		more, err := member(child(path, name), from, to, lists, slices.Contains(lists, name))
		if err != nil {
			return nil, err
		}
		operations = append(operations, more...)
	}
	return operations, nil
}

// member is the difference between two values; from is nil where there was none.
func member(path string, from, to json.RawMessage, lists []string, named bool) ([]Operation, error) {
	whole := []Operation{{Op: Add, Path: path, Value: to}}
	var (
		operations []Operation
		err        error
	)
	switch {
	case isObject(from) && isObject(to):
		operations, err = Diff(path, from, to, lists...)
	case named && isList(from) && isList(to):
		operations, err = list(path, from, to)
	default:
		return whole, nil
	}
	if err != nil || operations == nil || size(operations) > len(to) {
		return whole, err
	}
	return operations, nil
}

// list is the difference between two lists whose common elements are in the
// same order; nil where they are not.
func list(path string, from, to json.RawMessage) ([]Operation, error) {
	old, err := decode[[]json.RawMessage](from)
	if err != nil {
		return nil, fmt.Errorf("decode the JSON at %s: %w", path, err)
	}
	wanted, err := decode[[]json.RawMessage](to)
	if err != nil {
		return nil, fmt.Errorf("decode the JSON wanted at %s: %w", path, err)
	}
	// From both ends first: nearly all elements are equal.
	start := 0
	for start < min(len(old), len(wanted)) && bytes.Equal(old[start], wanted[start]) {
		start++
	}
	end := 0
	for end < min(len(old), len(wanted))-start && bytes.Equal(old[len(old)-1-end], wanted[len(wanted)-1-end]) {
		end++
	}
	old, wanted = old[start:len(old)-end], wanted[start:len(wanted)-end]

	remaining, added := counts(old), counts(wanted)
	var operations []Operation
	index := start
	for len(old) > 0 || len(wanted) > 0 {
		at := path + "/" + strconv.Itoa(index)
		switch {
		case len(old) > 0 && len(wanted) > 0 && bytes.Equal(old[0], wanted[0]):
			remaining[string(old[0])]--
			added[string(wanted[0])]--
			old, wanted, index = old[1:], wanted[1:], index+1
		case len(old) > 0 && added[string(old[0])] == 0:
			operations = append(operations, Operation{Op: Remove, Path: at})
			remaining[string(old[0])]--
			old = old[1:]
		case len(wanted) > 0 && remaining[string(wanted[0])] == 0:
			operations = append(operations, Operation{Add, at, wanted[0]})
			added[string(wanted[0])]--
			wanted, index = wanted[1:], index+1
		default:
			return nil, nil
		}
	}
	return operations, nil
}

func counts(elements []json.RawMessage) map[string]int {
	found := make(map[string]int, len(elements))
	for _, each := range elements {
		found[string(each)]++
	}
	return found
}

func size(operations []Operation) (bytes int) {
	for _, each := range operations {
		bytes += len(each.Path) + len(each.Value)
	}
	return bytes
}

func isObject(value json.RawMessage) bool { return bytes.HasPrefix(value, []byte{'{'}) }

func isList(value json.RawMessage) bool { return bytes.HasPrefix(value, []byte{'['}) }

func decode[T any](text []byte) (found T, err error) {
	err = json.Unmarshal(text, &found)
	return found, err
}

// child is a JSON pointer (RFC 6901) to a member.
func child(path, name string) string {
	return path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
