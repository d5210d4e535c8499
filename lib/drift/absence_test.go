package drift

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// wait is how often the hook looks though nothing has happened.
const wait = 5 * time.Minute

func TestAnObjectThatIsDeletedRepeatedlyIsRestoredLessOften(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	missing := []Deviation{{Object: "ConfigMap/c"}}
	text := ""
	// restores says whether Helm runs, some time after which nothing was wrong.
	restores := func(after time.Duration, found []Deviation) bool {
		now = now.Add(after)
		former := text
		text = Next(former, found, now)
		return text != former
	}
	for attempt := range absenceBurst {
		if !restores(time.Second, missing) {
			t.Fatalf("attempt %d: not restored at once: %q", attempt+1, text)
		}
	}
	for range 10 {
		if restores(10*time.Second, missing) {
			t.Fatalf("restored once more after %d times: %q", absenceBurst, text)
		}
	}
	for range 10 {
		if !restores(wait, missing) {
			t.Fatalf("not restored by the schedule: %q", text)
		}
		if restores(time.Second, missing) {
			t.Fatalf("restored twice between two schedules: %q", text)
		}
	}
	if !restores(time.Second, append(slices.Clone(missing), Deviation{Object: "Service/a"})) {
		t.Errorf("another object has to wait, too: %q", text)
	}
	if restores(time.Second, missing) {
		t.Errorf("the other object's absence forgot this one's: %q", text)
	}
	if !restores(absencePeace, missing) || strings.Count(text, absencePrefix+":") != 1 {
		t.Errorf("after a long peace: %q", text)
	}
	for attempt := range absenceBurst - 1 {
		if !restores(time.Second, missing) {
			t.Fatalf("attempt %d after a long peace: not restored at once: %q", attempt+2, text)
		}
	}
}

func TestInvalidAbsencesAreIgnored(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	written := absences{}
	for range absenceBurst {
		written.attempt("ConfigMap/c", now)
	}
	readable := written.texts()[0]
	for name, test := range map[string]struct {
		text string
		now  time.Time
		want bool // whether it is restored
	}{
		"what was written":             {readable, now.Add(time.Second), false},
		"an edit":                      {"0a1b2c3d", now, true},
		"a part is missing":            {readable[:strings.LastIndex(readable, ":")], now, true},
		"no number of times":           {strings.Replace(readable, ":5:", ":five:", 1), now, true},
		"no time":                      {readable + "x", now, true},
		"a time to come":               {readable, now.Add(-time.Hour), true},
		"a time that is too long past": {readable, now.Add(absencePeace), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := readAbsences([]string{test.text}, test.now).attempt("ConfigMap/c", test.now); got != test.want {
				t.Errorf("after %q: restored %v, want %v", test.text, got, test.want)
			}
		})
	}
}
