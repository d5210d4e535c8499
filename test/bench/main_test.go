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
			services: []int{100, 1000, 10_000}, peers: []int{1, 10}, tries: 20, published: 10_000, waiters: 200,
			pods: 5000, watches: 100, parts: map[string]bool{"import": true, "publish": true, "serve": true, "proxy": true},
		}, ""},
		"sizes and parts can be chosen": {
			map[string]string{"BENCH_SERVICES": "5, 7", "BENCH_PEERS": "3", "BENCH_TRIES": "2", "BENCH_PUBLISHED": "9", "BENCH_WAITERS": "4", "BENCH_PODS": "6", "BENCH_WATCHES": "8", "BENCH_PARTS": "serve,proxy"},
			plan{services: []int{5, 7}, peers: []int{3}, tries: 2, published: 9, waiters: 4, pods: 6, watches: 8, parts: map[string]bool{"serve": true, "proxy": true}}, "",
		},
		"a word is no number":        {map[string]string{"BENCH_SERVICES": "many"}, plan{}, "BENCH_SERVICES"},
		"no peers at all are none":   {map[string]string{"BENCH_PEERS": "0"}, plan{}, "BENCH_PEERS"},
		"an unknown part is refused": {map[string]string{"BENCH_PARTS": "imports"}, plan{}, "imports"},
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
		"a refusal":      {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", nil, "401"},
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
	used, err := self.measure()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		seen, err := used.read()
		if err != nil {
			t.Fatal(err)
		}
		if seen.cpu > 0 && seen.rss > 0 && seen.peak >= seen.rss {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after ten seconds of looking: %+v", seen)
		}
	}
}
