package watcher

import "testing"

func TestARevisionChangesOnlyWithWhatWasSeen(t *testing.T) {
	one, two := shortHash(`"one"`), shortHash(`"two"`)
	for name, test := range map[string]struct{ written, public, private, want string }{
		"nothing written, nothing seen":               {"", "", "", "-.-"},
		"nothing written, the public document seen":   {"", `"one"`, "", one + ".-"},
		"nothing written, both seen":                  {"", `"one"`, `"two"`, one + "." + two},
		"the same seen again":                         {one + "." + two, `"one"`, `"two"`, one + "." + two},
		"the public document seen, the other not yet": {one + "." + two, `"one"`, "", one + "." + two},
		"the private document changed":                {one + "." + two, `"one"`, `"one"`, one + "." + one},
		"a nudge is no revision":                      {one + "." + two + ".abc.def", "", "", one + "." + two},
		"a value that somebody else wrote":            {"hello", `"one"`, "", one + ".-"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := parseRevision(test.written).with(test.public, test.private).String(); got != test.want {
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
