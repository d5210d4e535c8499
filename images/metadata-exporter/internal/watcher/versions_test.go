package watcher

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestARevisionChangesOnlyWithWhatWasSeen(t *testing.T) {
	one, two := shortHash(`"one"`), shortHash(`"two"`)
	for name, test := range map[string]struct{ written, public, private, want string }{
		"nothing written, nothing seen":               {"", "", "", "-.-"},
		"nothing written, the public document seen":   {"", `"one"`, "", one + ".-"},
		"nothing written, both seen":                  {"", `"one"`, `"two"`, one + "." + two},
		"the same seen again":                         {one + "." + two, `"one"`, `"two"`, one + "." + two},
		"the public document seen, the other not yet": {one + "." + two, `"one"`, "", one + "." + two},
		"the private document changed":                {one + "." + two, `"one"`, `"one"`, one + "." + one},
		"a nudge is no revision":                      {one + "." + two + ".mi8x2k9z", "", "", one + "." + two},
		"a value that somebody else wrote":            {"hello", `"one"`, "", one + ".-"},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, _ := parseRevision(test.written)
			if got := parsed.with(test.public, test.private).String(); got != test.want {
				t.Errorf("revision = %s, want %s", got, test.want)
			}
		})
	}
	for name, test := range map[string]struct{ written, told, own, want revision }{
		"nothing was compared yet":                 {revision{"a", "b"}, revision{}, revision{"a", "c"}, revision{"a", "c"}},
		"nothing was seen yet":                     {revision{"a", "b"}, revision{}, revision{}, revision{"a", "b"}},
		"another replica is ahead":                 {revision{"a", "new"}, revision{"a", "old"}, revision{"a", "old"}, revision{"a", "new"}},
		"news of one that is behind with the rest": {revision{"a", "new"}, revision{"a", "old"}, revision{"b", "old"}, revision{"b", "new"}},
		"another replica was first":                {revision{"a", "new"}, revision{"a", "old"}, revision{"a", "new"}, revision{"a", "new"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.written.news(test.told, test.own); got != test.want {
				t.Errorf("news() = %v, want %v", got, test.want)
			}
		})
	}
	if one == two || len(one) != 12 {
		t.Errorf("hashes %s and %s", one, two)
	}
}

func TestOnlyWhatAWatcherWritesIsCarriedOn(t *testing.T) {
	one, two := shortHash(`"one"`), shortHash(`"two"`)
	whole := revision{one, two}
	now := strconv.FormatInt(time.Now().UnixMilli(), 36)
	for name, test := range map[string]struct {
		written string
		want    revision
		valid   bool
	}{
		"a revision":                          {whole.String(), whole, true},
		"one with a nudge":                    {whole.nudged(now), whole, true},
		"one document":                        {revision{one, unknown}.String(), revision{one, unknown}, true},
		"a nudge for documents not seen":      {revision{unknown, unknown}.nudged(now), revision{unknown, unknown}, true},
		"nothing":                             {"", revision{unknown, unknown}, false},
		"the word of the switch":              {"switched-on.t3q1vk", revision{unknown, unknown}, false},
		"one document alone":                  {one, revision{unknown, unknown}, false},
		"an empty part":                       {one + ".", revision{unknown, unknown}, false},
		"a hash too long":                     {one + "0." + two, revision{unknown, unknown}, false},
		"other letters":                       {strings.ToUpper(revision{"abcdefabcdef", two}.String()), revision{unknown, unknown}, false},
		"a huge mark":                         {whole.nudged(strings.Repeat("a", 1<<16)), revision{unknown, unknown}, false},
		"a huge hash":                         {strings.Repeat("a", 1<<16) + "." + two, revision{unknown, unknown}, false},
		"a line after a revision":             {whole.String() + "\n", revision{unknown, unknown}, false},
		"a revision after a line":             {"x\n" + whole.String(), revision{unknown, unknown}, false},
		"a strange text where a nudge may be": {whole.nudged("a.b"), revision{unknown, unknown}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got, valid := parseRevision(test.written); got != test.want || valid != test.valid {
				t.Errorf("read %v, %v; want %v, %v", got, valid, test.want, test.valid)
			}
		})
	}
}
