package watcher

import (
	"strings"
	"testing"
	"time"
)

func TestAResourceIsPokedForAChangeOrWhenItBlamesAnAnsweringPeer(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	written := versions{shortHash("p"), shortHash("f")}.String()
	known := connection{clusterUUID: "uuid-b"}
	well, blames := state{written: written}, state{written: written, blamesPeer: true}
	up, down := func(etag string) link { return link{shortHash(etag), true} }, func(etag string) link { return link{shortHash(etag), false} }

	for name, test := range map[string]struct {
		to              connection
		reported        versions
		state           state
		public, private link
		sinceLast       time.Duration
		wantCause       string
		wantLater       time.Duration
	}{
		"nothing is known yet":                            {to: known, state: state{}},
		"a document was seen for the first time":          {to: known, public: up("p"), wantCause: causeChanged},
		"all is as written":                               {to: known, state: well, public: up("p"), private: up("f")},
		"the private document changed":                    {to: known, state: well, public: up("p"), private: up("f2"), wantCause: causeChanged},
		"the public document changed":                     {to: known, state: well, public: up("p2"), private: up("f"), wantCause: causeChanged},
		"a restart, and one document was not seen yet":    {to: known, state: well, public: up("p")},
		"the written value is lost":                       {to: known, reported: versions{shortHash("p"), shortHash("f")}, public: up("p"), private: up("f"), wantCause: causeChanged},
		"another writer has replaced the value":           {to: known, reported: versions{shortHash("p"), shortHash("f")}, state: state{written: strings.Repeat("x", 1000)}, public: up("p"), private: up("f"), wantCause: causeChanged},
		"another replica is ahead":                        {to: known, reported: versions{shortHash("p"), shortHash("f0")}, state: well, public: up("p"), private: up("f0")},
		"a replica that was behind has caught up":         {to: known, reported: versions{shortHash("p"), shortHash("f0")}, state: well, public: up("p"), private: up("f")},
		"a replica that was behind sees something newer":  {to: known, reported: versions{shortHash("p"), shortHash("f0")}, state: well, public: up("p"), private: up("f2"), wantCause: causeChanged},
		"the peer stopped answering":                      {to: known, state: well, public: down("p"), private: down("f")},
		"it answers again and is blamed":                  {to: known, state: blames, public: up("p"), private: up("f"), sinceLast: time.Hour, wantCause: causeNudge},
		"it is blamed, with reason":                       {to: known, state: blames, public: down("p"), private: down("f"), sinceLast: time.Hour},
		"it is blamed, and still rejects the private one": {to: known, state: blames, public: up("p"), private: down("f"), sinceLast: time.Hour},
		"it is blamed before its UUID is known":           {state: blames, public: up("p"), sinceLast: time.Hour, wantCause: causeNudge},
		"it is blamed just after a poke":                  {to: known, state: blames, public: up("p"), private: up("f"), sinceLast: 2 * time.Second, wantLater: 3 * time.Second},
		"a change does not wait like a nudge":             {to: known, state: blames, public: up("p"), private: up("f2"), wantCause: causeChanged},
	} {
		t.Run(name, func(t *testing.T) {
			p := &peerWatch{
				connection: test.to, state: test.state, public: test.public, private: test.private, reported: test.reported,
				nudges: nudges{first: 5 * time.Second, longest: time.Minute, last: now.Add(-test.sinceLast)},
			}
			next := p.decide(now)
			value, cause := next.value, next.cause
			if cause != test.wantCause || next.later != test.wantLater || (value != "") != (test.wantCause != "") {
				t.Fatalf("decide() = %+v; want cause %q, later %v", next, test.wantCause, test.wantLater)
			}
			if value == test.state.written && value != "" {
				t.Errorf("the value %q would wake no hook", value)
			}
			if cause == causeNudge && !strings.HasPrefix(value, shortHash("p")+".") {
				t.Errorf("the nudge %q has lost the version", value)
			}
		})
	}
}

// TestReplicasReportEachChangeOnce lets two replicas look at one value in
// turn until neither has anything to write.
func TestReplicasReportEachChangeOnce(t *testing.T) {
	ahead, behind := &peerWatch{}, &peerWatch{}
	see := func(p *peerWatch, public, private string) {
		p.public, p.private = link{shortHash(public), true}, link{shortHash(private), true}
	}
	written := ""
	settle := func() (writes int) {
		for quiet := 0; quiet < 2 && writes < 10; {
			for _, p := range []*peerWatch{behind, ahead} {
				p.state.written = written
				next := p.decide(time.Now())
				if next.value == "" {
					quiet++
					continue
				}
				p.wrote(next, time.Now())
				written = next.value
				writes++
				quiet = 0
			}
		}
		return writes
	}
	for _, step := range []struct {
		name            string
		see             func()
		public, private string
		writes          int
	}{
		{"both start", func() { see(ahead, "p1", "f1"); see(behind, "p1", "f1") }, "p1", "f1", 1},
		{"one sees a change", func() { see(ahead, "p1", "f2") }, "p1", "f2", 1},
		{"the one that is behind sees another", func() { see(behind, "p2", "f1") }, "p2", "f2", 1},
		{"both catch up", func() { see(ahead, "p2", "f2"); see(behind, "p2", "f2") }, "p2", "f2", 0},
		{"both see the same", func() { see(ahead, "p2", "f3"); see(behind, "p2", "f3") }, "p2", "f3", 1},
		{"a restart without a change", func() { ahead = &peerWatch{}; see(ahead, "p2", "f3") }, "p2", "f3", 0},
	} {
		step.see()
		if got := settle(); got != step.writes {
			t.Errorf("%s: %d writes, want %d", step.name, got, step.writes)
		}
		if want := (versions{shortHash(step.public), shortHash(step.private)}).String(); written != want {
			t.Errorf("%s: %s is written, want %s", step.name, written, want)
		}
	}
}

// TestWithoutAChangeNothingIsWrittenIntoADeletedConfigMap: the kind may be about to be switched off.
func TestWithoutAChangeNothingIsWrittenIntoADeletedConfigMap(t *testing.T) {
	written := versions{shortHash("p"), shortHash("f")}
	p := &peerWatch{
		connection: connection{clusterUUID: "uuid-b"}, state: state{written: written.String()},
		public: link{written.public, true}, private: link{written.private, true}, reported: written,
	}
	w := &Watcher{peers: map[string]*peerWatch{"b": p}, written: map[string]string{"b": written.String()}}
	w.configMapDeleted()
	if next := p.decide(time.Now()); next.value != "" {
		t.Errorf("there is no ConfigMap, and %q is to be written", next.value)
	}
	w.configMapCreated(&configMap{})
	if next := p.decide(time.Now()); next.value != written.String() {
		t.Errorf("%q is to be written into a ConfigMap that is back, want %q", next.value, written)
	}
	p.private = link{shortHash("f2"), true}
	w.configMapDeleted()
	if next := p.decide(time.Now()); next.value == "" {
		t.Error("the change is not reported")
	}
}

func TestNudgesBecomeRarerUntilTheResourceIsReady(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p := &peerWatch{
		state: state{written: "-.-", blamesPeer: true}, public: link{answered: true},
		nudges: nudges{first: 5 * time.Second, longest: 30 * time.Second},
	}
	var gaps []time.Duration
	for range 5 {
		began := now
		for {
			next := p.decide(now)
			if next.value != "" {
				p.wrote(next, now)
				break
			}
			if next.later <= 0 {
				t.Fatal("neither a nudge nor a time for one")
			}
			now = now.Add(next.later)
		}
		gaps = append(gaps, now.Sub(began))
	}
	for index, want := range []time.Duration{0, 10 * time.Second, 20 * time.Second, 30 * time.Second, 30 * time.Second} {
		if gaps[index] != want {
			t.Errorf("gap %d = %v, want %v (all: %v)", index, gaps[index], want, gaps)
		}
	}

	p.state.blamesPeer = false
	if next := p.decide(now); next.value != "" || next.later != 0 {
		t.Errorf("a resource that is well: %+v", next)
	}
	p.state.blamesPeer = true
	if next := p.decide(now); next.later != 5*time.Second {
		t.Errorf("blamed again right away: %+v", next)
	}
}
