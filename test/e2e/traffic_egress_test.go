//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestTrafficThatLeavesTheMeshNeedsAServiceEntryWhereASidecarSaysSo: with REGISTRY_ONLY unknown hosts are unreachable, peers are not.
func TestTrafficThatLeavesTheMeshNeedsAServiceEntryWhereASidecarSaysSo(t *testing.T) {
	t.Parallel()
	f := trafficOf(t)
	outside := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "Hostname=outside") })}
	listener := listenInFabric(t)
	go func() { _ = outside.Serve(listener) }()
	t.Cleanup(func() { _ = outside.Close() })
	address, port, _ := strings.Cut(listener.Addr().String(), ":")
	caller, url := f.There.Pod("distant"), "http://"+listener.Addr().String()+"/"
	reaches := func() string {
		got, err := caller.get(url)
		if err != nil {
			return err.Error()
		}
		return by("outside")(got)
	}
	eventually(t, scheduled, "an outside server answers", reaches)
	f.applyYAML(t, f.There, "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: default, namespace: '{{.There.Yard}}'}\n"+
		"spec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}")
	eventually(t, scheduled, "with REGISTRY_ONLY it does not", func() string { return unless(reaches() != "", "it answers") })
	eventually(t, prompt, "a peer's Service does", func() string {
		got, err := caller.get("http://" + f.Here.Host("api") + "/")
		return because(failing(err, httpStatus(http.StatusOK)(got)))
	})
	f.applyYAML(t, f.There, fmt.Sprintf(`apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: '{{.There.Yard}}'}
spec:
  hosts: [outside.example]
  addresses: [%s]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{name: http, number: %s, protocol: HTTP}]
  endpoints: [{address: %s}]`, address, port, address))
	// The request asks for an address; the entry's route is by its name.
	reachesByName := func() string {
		got, err := caller.get(url, "Host: outside.example")
		if err != nil {
			return err.Error()
		}
		return by("outside")(got)
	}
	eventually(t, scheduled, "with a ServiceEntry it does", reachesByName)
}
