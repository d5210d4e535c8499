package watcher

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestVersionsChangeOnlyWithSeenDocuments(t *testing.T) {
	one, two := shortHash(`"one"`), shortHash(`"two"`)
	for name, test := range map[string]struct{ written, public, private, want string }{
		"nothing written, nothing seen":               {"", "", "", "-.-"},
		"nothing written, the public document seen":   {"", one, "", one + ".-"},
		"nothing written, both seen":                  {"", one, two, one + "." + two},
		"the same seen again":                         {one + "." + two, one, two, one + "." + two},
		"the public document seen, the other not yet": {one + "." + two, one, "", one + "." + two},
		"the private document changed":                {one + "." + two, one, one, one + "." + one},
		"a nudge is no version":                       {one + "." + two + ".mi8x2k9z", "", "", one + "." + two},
		"a value of another writer":                   {"hello", one, "", one + ".-"},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, _ := parseVersions(test.written)
			if got := parsed.with(test.public, test.private).String(); got != test.want {
				t.Errorf("versions = %s, want %s", got, test.want)
			}
		})
	}
	for name, test := range map[string]struct{ written, reported, own, want versions }{
		"nothing was compared yet":                  {versions{"a", "b"}, versions{}, versions{"a", "c"}, versions{"a", "c"}},
		"nothing was seen yet":                      {versions{"a", "b"}, versions{}, versions{}, versions{"a", "b"}},
		"another replica is ahead":                  {versions{"a", "new"}, versions{"a", "old"}, versions{"a", "old"}, versions{"a", "new"}},
		"a change seen by a replica that is behind": {versions{"a", "new"}, versions{"a", "old"}, versions{"b", "old"}, versions{"b", "new"}},
		"another replica was first":                 {versions{"a", "new"}, versions{"a", "old"}, versions{"a", "new"}, versions{"a", "new"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.written.updated(test.reported, test.own); got != test.want {
				t.Errorf("updated() = %v, want %v", got, test.want)
			}
		})
	}
	if one == two || len(one) != 12 {
		t.Errorf("hashes %s and %s", one, two)
	}
}

func TestOnlyValuesInTheWrittenFormAreRead(t *testing.T) {
	one, two := shortHash(`"one"`), shortHash(`"two"`)
	whole := versions{one, two}
	now := strconv.FormatInt(time.Now().UnixMilli(), 36)
	for name, test := range map[string]struct {
		written string
		want    versions
		valid   bool
	}{
		"two versions":                        {whole.String(), whole, true},
		"one with a nudge":                    {whole.String() + "." + now, whole, true},
		"one document":                        {versions{one, unknown}.String(), versions{one, unknown}, true},
		"a nudge for documents not seen":      {versions{unknown, unknown}.String() + "." + now, versions{unknown, unknown}, true},
		"nothing":                             {"", versions{unknown, unknown}, false},
		"the value of the switch":             {"switched-on.t3q1vk", versions{unknown, unknown}, false},
		"one document alone":                  {one, versions{unknown, unknown}, false},
		"an empty part":                       {one + ".", versions{unknown, unknown}, false},
		"a hash too long":                     {one + "0." + two, versions{unknown, unknown}, false},
		"other letters":                       {strings.ToUpper(versions{"abcdefabcdef", two}.String()), versions{unknown, unknown}, false},
		"a huge mark":                         {whole.String() + "." + strings.Repeat("a", 1<<16), versions{unknown, unknown}, false},
		"a huge hash":                         {strings.Repeat("a", 1<<16) + "." + two, versions{unknown, unknown}, false},
		"a line after the versions":           {whole.String() + "\n", versions{unknown, unknown}, false},
		"the versions after a line":           {"x\n" + whole.String(), versions{unknown, unknown}, false},
		"a strange text where a nudge may be": {whole.String() + ".a.b", versions{unknown, unknown}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got, valid := parseVersions(test.written); got != test.want || valid != test.valid {
				t.Errorf("read %v, %v; want %v, %v", got, valid, test.want, test.valid)
			}
		})
	}
}
