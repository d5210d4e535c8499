package watcher

import (
	"strings"
	"testing"
	"time"
)

func TestWhenAResourceIsPoked(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	written := revision{shortHash("p"), shortHash("f")}.String()
	known := connection{clusterUUID: "uuid-b"}
	well, blames := standing{annotation: written}, standing{annotation: written, blamesPeer: true}
	up, down := func(etag string) link { return link{etag, true} }, func(etag string) link { return link{etag, false} }

	for name, test := range map[string]struct {
		to              connection
		stands          standing
		public, private link
		sinceLast       time.Duration
		wantCause       string
		wantLater       time.Duration
	}{
		"nothing is known yet":                            {to: known, stands: standing{}},
		"a document was seen for the first time":          {to: known, public: up("p"), wantCause: causeChanged},
		"all is as it was written":                        {to: known, stands: well, public: up("p"), private: up("f")},
		"the private document changed":                    {to: known, stands: well, public: up("p"), private: up("f2"), wantCause: causeChanged},
		"the public document changed":                     {to: known, stands: well, public: up("p2"), private: up("f"), wantCause: causeChanged},
		"a restart, and one document was not seen yet":    {to: known, stands: well, public: up("p")},
		"the peer stopped answering":                      {to: known, stands: well, public: down("p"), private: down("f")},
		"it answers again and is blamed":                  {to: known, stands: blames, public: up("p"), private: up("f"), sinceLast: time.Hour, wantCause: causeNudge},
		"it is blamed, with reason":                       {to: known, stands: blames, public: down("p"), private: down("f"), sinceLast: time.Hour},
		"it is blamed, and still refuses the private one": {to: known, stands: blames, public: up("p"), private: down("f"), sinceLast: time.Hour},
		"it is blamed before its UUID is known":           {stands: blames, public: up("p"), sinceLast: time.Hour, wantCause: causeNudge},
		"it is blamed just after a poke":                  {to: known, stands: blames, public: up("p"), private: up("f"), sinceLast: 2 * time.Second, wantLater: 3 * time.Second},
		"news do not wait for the pace of nudges":         {to: known, stands: blames, public: up("p"), private: up("f2"), wantCause: causeChanged},
	} {
		t.Run(name, func(t *testing.T) {
			p := &peerWatch{connection: test.to, standing: test.stands, public: test.public, private: test.private}
			pace := &nudges{first: 5 * time.Second, longest: time.Minute, last: now.Add(-test.sinceLast)}
			value, cause, later := p.decide(pace, now)
			if cause != test.wantCause || later != test.wantLater || (value != "") != (test.wantCause != "") {
				t.Fatalf("decide() = %q, %q, %v; want cause %q, later %v", value, cause, later, test.wantCause, test.wantLater)
			}
			if value == test.stands.annotation && value != "" {
				t.Errorf("the value %q would wake nobody", value)
			}
			if cause == causeNudge && !strings.HasPrefix(value, parseRevision(written).public+".") {
				t.Errorf("the nudge %q forgets the revision", value)
			}
		})
	}
}

func TestNudgesBecomeRarerUntilTheResourceIsWell(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	p := &peerWatch{standing: standing{annotation: "-.-", blamesPeer: true}, public: link{answered: true}}
	pace := &nudges{first: 5 * time.Second, longest: 30 * time.Second}
	var gaps []time.Duration
	for range 5 {
		began := now
		for {
			value, cause, later := p.decide(pace, now)
			if value != "" {
				p.standing.annotation = value
				pace.wrote(cause, now)
				break
			}
			if later <= 0 {
				t.Fatal("neither a nudge nor a time for one")
			}
			now = now.Add(later)
		}
		gaps = append(gaps, now.Sub(began))
	}
	for index, want := range []time.Duration{0, 10 * time.Second, 20 * time.Second, 30 * time.Second, 30 * time.Second} {
		if gaps[index] != want {
			t.Errorf("gap %d = %v, want %v (all: %v)", index, gaps[index], want, gaps)
		}
	}

	p.standing.blamesPeer = false
	if value, _, later := p.decide(pace, now); value != "" || later != 0 {
		t.Errorf("a resource that is well: %q, %v", value, later)
	}
	p.standing.blamesPeer = true
	if _, _, later := p.decide(pace, now); later != 5*time.Second {
		t.Errorf("blamed again right away: later = %v", later)
	}
}
