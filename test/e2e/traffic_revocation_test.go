//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"
)

// ends waits until the connection is closed by somebody else, and returns after how long.
func ends(t *testing.T, what string, one talk, begun time.Time) time.Duration {
	t.Helper()
	defer one.hangUp()
	eventually(t, restarted, what+" ends", func() string {
		_, err := one.say("still here?")
		return unless(err != nil, "it is still open after %s", time.Since(begun).Round(time.Second))
	})
	return time.Since(begun)
}

// TestTrafficEndsWithTheFederation, on either side without the other's help: new
// connections are rejected soon, and those that are open end as well. It logs the times it sees.
func TestTrafficEndsWithTheFederation(t *testing.T) {
	f := trafficOf(t)
	server, client, host := f.Here.Pod("api-v1"), f.There.Pod("client"), f.Here.Host("protocols")
	server.runApplications(t, host)
	f.applyYAML(t, f.Here, protocolsService)
	answered := func() string {
		return because(says(client.transport(), fmt.Sprintf("http://%s:8000/protocol", host), "HTTP/1.1"))
	}
	call := callHost(f.Here.Host("api"), forge(t, f.There.caInUse(t), f.There.identity("default")))
	for _, side := range []struct {
		name    string
		revoke  func() (restore func())
		removed func() (missing string)
	}{
		{"the publisher's", func() func() { return f.Here.setAside(t, f.There.name) }, func() string {
			return call.through(f.Here.gatewayAddress(t)).rejected(f.Here.identity("default"))
		}},
		{"the caller's", func() func() { return f.There.setAside(t, f.Here.name) }, func() string {
			return unless(answered() != "", "the client is answered")
		}},
	} {
		eventually(t, scheduled, "the client is answered", answered)
		open := map[string]talk{}
		for name, opened := range map[string]func() (talk, error){
			"a WebSocket":   func() (talk, error) { return client.openSocket(host + ":8000") },
			"a gRPC stream": func() (talk, error) { return client.openStream(host + ":8002") },
		} {
			one, err := opened()
			if err == nil {
				_, err = one.say("hello")
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			open[name] = one
		}
		begun := time.Now()
		restore := side.revoke()
		eventually(t, scheduled, "with "+side.name+" IstioFederation deleted new connections are rejected", side.removed)
		t.Logf("%s side: the first new connection was rejected %s after the deletion", side.name, time.Since(begun).Round(10*time.Millisecond))
		for name, one := range open {
			t.Logf("%s side: %s ended %s after the deletion", side.name, name, ends(t, name, one, begun).Round(10*time.Millisecond))
		}
		restore()
	}
	eventually(t, scheduled, "the client is answered again", answered)
}
