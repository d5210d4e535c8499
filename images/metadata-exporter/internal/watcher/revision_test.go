package watcher

import "testing"

func TestARevisionChangesOnlyWithWhatWasSeen(t *testing.T) {
	one, two := shortHash(`"one"`), shortHash(`"two"`)
	for name, test := range map[string]struct{ annotation, public, private, want string }{
		"nothing written, nothing seen":               {"", "", "", "-.-"},
		"nothing written, the public document seen":   {"", `"one"`, "", one + ".-"},
		"nothing written, both seen":                  {"", `"one"`, `"two"`, one + "." + two},
		"the same seen again":                         {one + "." + two, `"one"`, `"two"`, one + "." + two},
		"the public document seen, the other not yet": {one + "." + two, `"one"`, "", one + "." + two},
		"the private document changed":                {one + "." + two, `"one"`, `"one"`, one + "." + one},
		"a nudge is no revision":                      {one + "." + two + ".abc.def", "", "", one + "." + two},
		"an annotation that somebody else wrote":      {"hello", `"one"`, "", one + ".-"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := parseRevision(test.annotation).with(test.public, test.private).String(); got != test.want {
				t.Errorf("revision = %s, want %s", got, test.want)
			}
		})
	}
	if one == two || len(one) != 12 {
		t.Errorf("hashes %s and %s", one, two)
	}
}
