package testbed

import (
	"bytes"
	"strings"
	"testing"
)

func TestProgressOfADetachedLabIsRelayed(t *testing.T) {
	for name, test := range map[string]struct {
		progress, shown string
		ready           bool
	}{
		"until it is ready":                {"cluster-a: etcd ready\n" + readyLine + "\nlater\n", "cluster-a: etcd ready\n", true},
		"to the end when it fails":         {"cluster-a: etcd ready\nerror: no space\n", "cluster-a: etcd ready\nerror: no space\n", false},
		"nothing when it dies without one": {"", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if ready := relay(strings.NewReader(test.progress), &out); ready != test.ready || out.String() != test.shown {
				t.Fatalf("relay = %t, %q", ready, out.String())
			}
		})
	}
}
