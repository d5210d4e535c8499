package ingresscontroller

import (
	"reflect"
	"testing"
)

func TestName(t *testing.T) {
	for name, test := range map[string]struct {
		pod  Pod
		want string
	}{
		"ingress-nginx of its chart":            {Pod{Namespace: "ingress", App: "ingress-nginx", Component: "controller"}, "ingress-nginx"},
		"ingress-nginx without a component":     {Pod{Namespace: "ingress", App: "ingress-nginx"}, "ingress-nginx"},
		"its default backend is none":           {Pod{Namespace: "ingress", App: "ingress-nginx", Component: "default-backend"}, ""},
		"traefik, whatever the component":       {Pod{App: "traefik", Component: "proxy"}, "traefik"},
		"contour's Envoy":                       {Pod{App: "contour", Component: "envoy"}, "contour"},
		"contour itself gets no user's request": {Pod{App: "contour", Component: "contour"}, ""},
		"Deckhouse's controller":                {Pod{Namespace: "d8-ingress-nginx", DeckhouseApp: "controller"}, "ingress-nginx"},
		"another controller is not Deckhouse's": {Pod{Namespace: "shop", DeckhouseApp: "controller"}, ""},
		"an application":                        {Pod{Namespace: "shop", App: "web"}, ""},
		"no label at all":                       {Pod{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Name(test.pod); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestInMesh(t *testing.T) {
	ports := func(list string) *string { return &list }
	controller := Pod{Namespace: "ingress", App: "traefik", Sidecar: true}
	with := func(change func(*Pod)) Pod {
		pod := controller
		change(&pod)
		return pod
	}
	traefik := Controller{"ingress", "traefik"}
	for name, test := range map[string]struct {
		pod  Pod
		want map[Controller]Count
	}{
		"everything is intercepted unless the Pod says otherwise": {controller, map[Controller]Count{traefik: {Intercepted: 1}}},
		"no port is intercepted":                                  {with(func(p *Pod) { p.IncludeInboundPorts = ports("") }), map[Controller]Count{traefik: {Direct: 1}}},
		"all ports are, by name":                                  {with(func(p *Pod) { p.IncludeInboundPorts = ports("*") }), map[Controller]Count{traefik: {Intercepted: 1}}},
		"nothing is intercepted in either way":                    {with(func(p *Pod) { p.InterceptionMode = "NONE" }), map[Controller]Count{traefik: {Direct: 1}}},
		"a controller without a sidecar":                          {with(func(p *Pod) { p.Sidecar = false }), map[Controller]Count{}},
		"a Pod that has finished":                                 {with(func(p *Pod) { p.Finished = true }), map[Controller]Count{}},
		"a sidecar of something else":                             {with(func(p *Pod) { p.App = "web" }), map[Controller]Count{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := InMesh([]Pod{test.pod}); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestPodsOfAControllerAreCounted(t *testing.T) {
	empty := ""
	intercepted := Pod{Namespace: "ingress", App: "traefik", Sidecar: true}
	direct := intercepted
	direct.IncludeInboundPorts = &empty
	got := InMesh([]Pod{intercepted, direct, intercepted, {Namespace: "other", App: "traefik", Sidecar: true}})
	want := map[Controller]Count{{"ingress", "traefik"}: {Direct: 1, Intercepted: 2}, {"other", "traefik"}: {Intercepted: 1}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
