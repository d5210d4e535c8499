package drift

import (
	"fmt"
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
	for attempt := range absent.burst {
		if !restores(time.Second, missing) {
			t.Fatalf("attempt %d: not restored at once: %q", attempt+1, text)
		}
	}
	for range 10 {
		if restores(10*time.Second, missing) {
			t.Fatalf("restored once more after %d times: %q", absent.burst, text)
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
	if !restores(absent.peace, missing) || strings.Count(text, "gone:") != 1 {
		t.Errorf("after a long peace: %q", text)
	}
	for attempt := range absent.burst - 1 {
		if !restores(time.Second, missing) {
			t.Fatalf("attempt %d after a long peace: not restored at once: %q", attempt+2, text)
		}
	}
}

func TestInvalidAbsencesAreIgnored(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	written := attempts{absent, map[string]attempt{}}
	for range absent.burst {
		written.add("ConfigMap/c", now)
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
		"a time that is too long past": {readable, now.Add(absent.peace), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := absent.read([]string{test.text}, test.now).add("ConfigMap/c", test.now); got != test.want {
				t.Errorf("after %q: restored %v, want %v", test.text, got, test.want)
			}
		})
	}
}

func TestWhoEditsAnObjectAgainAndAgainIsCorrectedAFewTimes(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	text, restored := "", 0
	// The enforcer writes each time as soon as Helm has restored the object.
	enforcer := func() []Deviation {
		return []Deviation{{Object: "MutatingWebhookConfiguration/w", By: "admissionsenforcer", edit: hashOf(fmt.Sprint("edit ", restored))}}
	}
	for range 10 * 60 {
		now = now.Add(time.Second)
		if next := Next(text, enforcer(), now); next != text {
			text, restored = next, restored+1
		}
	}
	if restored != edited.burst {
		t.Errorf("restored %d times in ten minutes, want %d", restored, edited.burst)
	}
	if contested := Contested(text, enforcer(), now); len(contested) != 1 || contested[0].By != "admissionsenforcer" {
		t.Errorf("contested: %v", contested)
	}
	if other := (Deviation{Object: "MutatingWebhookConfiguration/w", By: "kubectl-edit", edit: "1"}); Next(text, append(enforcer(), other), now) == text {
		t.Error("another's edit is not restored")
	}
	now = now.Add(edited.gap)
	if Next(text, enforcer(), now) == text {
		t.Error("not restored any more, later")
	}
	now = now.Add(edited.peace)
	if contested := Contested(text, enforcer(), now); len(contested) != 0 || Next(text, enforcer(), now) == text {
		t.Errorf("after a long peace: contested %v", contested)
	}
}
