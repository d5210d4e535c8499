package process

import (
	"slices"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		ran  []time.Duration
		want []time.Duration
	}{
		"doubles from 0.3 s": {
			ran:  []time.Duration{0, 0, 0},
			want: []time.Duration{300 * ms, 600 * ms, 1200 * ms},
		},
		"never exceeds 30 s": {
			ran: []time.Duration{0, 0, 0, 0, 0, 0, 0, 0, 0},
			want: []time.Duration{
				300 * ms, 600 * ms, 1200 * ms, 2400 * ms, 4800 * ms, 9600 * ms, 19200 * ms, 30 * time.Second, 30 * time.Second,
			},
		},
		"starts over after a minute of running": {
			ran:  []time.Duration{0, 0, time.Minute, 0},
			want: []time.Duration{300 * ms, 600 * ms, 300 * ms, 600 * ms},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b backoff
			var got []time.Duration
			for _, ran := range test.ran {
				got = append(got, b.after(ran))
			}
			if !slices.Equal(got, test.want) {
				t.Fatalf("delays %v, want %v", got, test.want)
			}
		})
	}
}
