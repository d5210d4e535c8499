package main

import (
	"bufio"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestPlansAreReadFromTheEnvironment(t *testing.T) {
	for name, test := range map[string]struct {
		environment map[string]string
		want        plan
		says        string
	}{
		"nothing means everything": {nil, plan{
			Services: []int{100, 1000, 10_000}, Peers: []int{1, 10}, Tries: 20, Requests: 50, Published: 10_000, Waiters: 200,
			Pods: 5000, Watches: 100, Parts: map[string]bool{"import": true, "publish": true, "serve": true, "request": true, "call": true, "revoke": true, "proxy": true, "hostile": true},
		}, ""},
		"sizes, parts and a lab can be chosen": {
			map[string]string{
				"BENCH_SERVICES": "5, 7", "BENCH_PEERS": "3", "BENCH_TRIES": "2", "BENCH_REQUESTS": "1", "BENCH_PUBLISHED": "9", "BENCH_WAITERS": "4",
				"BENCH_PODS": "6", "BENCH_WATCHES": "8", "BENCH_PARTS": "serve,proxy", "BENCH_STATE_DIR": "lab",
			},
			plan{
				Services: []int{5, 7}, Peers: []int{3}, Tries: 2, Requests: 1, Published: 9, Waiters: 4, Pods: 6, Watches: 8,
				Parts: map[string]bool{"serve": true, "proxy": true}, StateDir: "lab",
			}, "",
		},
		"a word is not a number":      {map[string]string{"BENCH_SERVICES": "many"}, plan{}, "BENCH_SERVICES"},
		"no peers at all are none":    {map[string]string{"BENCH_PEERS": "0"}, plan{}, "BENCH_PEERS"},
		"an unknown part is rejected": {map[string]string{"BENCH_PARTS": "imports"}, plan{}, "imports"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readPlan(func(variable string) string { return test.environment[variable] })
			switch {
			case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
				t.Errorf("%v, want an error about %s", err, test.says)
			case test.says == "" && (err != nil || !reflect.DeepEqual(got, test.want)):
				t.Errorf("%+v %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestPercentilesAreValuesThatWereMeasured(t *testing.T) {
	var twenty []time.Duration
	for index := range 20 {
		twenty = append(twenty, time.Duration(20-index))
	}
	for name, test := range map[string]struct {
		of      []time.Duration
		percent int
		want    time.Duration
	}{
		"half of twenty are not above the tenth": {twenty, 50, 10},
		"of twenty the 99th is the greatest":     {twenty, 99, 20},
		"of one it is that one":                  {[]time.Duration{7}, 50, 7},
	} {
		t.Run(name, func(t *testing.T) {
			if got := percentile(test.of, test.percent); got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
}

func TestTheLoadGeneratorReadsOneAnswerAfterAnother(t *testing.T) {
	for name, test := range map[string]struct {
		answers string
		sizes   []int
		says    string
	}{
		"two answers":    {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\ncontent-length: 1\r\nA: b\r\n\r\nx", []int{3, 1}, "EOF"},
		"a rejection":    {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", nil, "401"},
		"no length":      {"HTTP/1.1 200 OK\r\n\r\n", nil, "length"},
		"a cut off body": {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", nil, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			reader := bufio.NewReader(strings.NewReader(test.answers))
			for _, want := range test.sizes {
				if size, err := readAnswer(reader); err != nil || size != want {
					t.Fatalf("%d %v, want %d", size, err, want)
				}
			}
			if size, err := readAnswer(reader); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%d %v, want an error with %s", size, err, test.says)
			}
		})
	}
}

func TestAProcessIsSeenToComputeAndToHoldMemory(t *testing.T) {
	self := process(os.Getpid())
	for deadline := time.Now().Add(10 * time.Second); ; {
		cpu, err := self.cpu()
		if err != nil {
			t.Fatal(err)
		}
		now, peak, err := self.memory()
		if err != nil {
			t.Fatal(err)
		}
		if cpu > 0 && now > 0 && peak >= now {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after ten seconds of looking: %s, %f MiB, at most %f", cpu, now, peak)
		}
	}
}
