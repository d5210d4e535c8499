package ca_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/ca"
)

// begun is a rotation from A to B whose phase Distributing began at start.
func begun(t *testing.T, start time.Time) (state ca.State, seen ca.Seen, wanted ca.Bundle) {
	t.Helper()
	wanted = authority(t, "B")
	seen = ca.Seen{Installed: authority(t, "A")}
	return step{}.settle(t, ca.State{Signing: seen.Installed}, &seen, wanted, start).State, seen, wanted
}

func TestTheWaitForFilesContinuesAfterARestart(t *testing.T) {
	start := time.Now().Truncate(time.Second)
	state, seen, wanted := begun(t, start)
	text, err := json.Marshal(state.Trust)
	if err != nil {
		t.Fatal(err)
	}
	restarted := ca.State{Signing: state.Signing}
	if err := json.Unmarshal(text, &restarted.Trust); err != nil {
		t.Fatal(err)
	}
	got := ca.Rotate(restarted, seen, wanted, ca.Proceed, start.Add(time.Minute))
	if got.Deferral != ca.RenewingFiles || !got.Due.Equal(start.Add(3*time.Minute)) {
		t.Errorf("deferred because of %q until %s", got.Deferral, got.Due)
	}
}

func TestARecordOfAnEarlierVersionWaitsFromNowOn(t *testing.T) {
	start := time.Now().Truncate(time.Second)
	state, seen, wanted := begun(t, start)
	for index := range state.Roots {
		state.Roots[index].HandedOut = time.Time{} // earlier versions did not record it
	}
	later := start.Add(time.Hour)
	got := ca.Rotate(state, seen, wanted, ca.Proceed, later)
	if got.Deferral != ca.RenewingFiles || !got.Due.Equal(later.Add(3*time.Minute)) {
		t.Errorf("deferred because of %q until %s", got.Deferral, got.Due)
	}
	if got := ca.Rotate(state, seen, wanted, "", later); got.Phase != ca.Distributing || !got.Due.Equal(start.Add(ca.Distribution)) {
		t.Errorf("without a request, phase %q lasts until %s: it began an hour ago", got.Phase, got.Due)
	}
}

func TestARootThatIstiodTookBackWaitsAgain(t *testing.T) {
	start := time.Now().Truncate(time.Second)
	state, seen, wanted := begun(t, start)
	later, former := start.Add(time.Hour), seen
	former.HandedOut = state.Signing.Root
	took := ca.Rotate(state, former, wanted, ca.Proceed, later)
	if took.Deferral != ca.NotHandedOut || took.Signing != state.Signing {
		t.Errorf("deferred because of %q", took.Deferral)
	}
	if got := ca.Rotate(took.State, seen, wanted, ca.Proceed, later); got.Deferral != ca.RenewingFiles || !got.Due.Equal(later.Add(3*time.Minute)) {
		t.Errorf("deferred because of %q until %s", got.Deferral, got.Due)
	}
}
