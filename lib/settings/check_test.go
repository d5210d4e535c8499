package settings_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/settings"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

// foreign is what a person who sets something cannot know: types and functions
// of Go, places in generated JSON, regular expressions.
var foreign = regexp.MustCompile(`\b(json|proto|netip|time|url|checked|settings)[:.]|\(line|struct|regex|\[A-Za-z0-9`)

func TestCheck(t *testing.T) {
	one, err := ca.Generate("cluster-a.local")
	if err != nil {
		t.Fatal(err)
	}
	other, err := ca.Generate("cluster-a.local")
	if err != nil {
		t.Fatal(err)
	}
	advertise := func(address string) map[string]any {
		return map[string]any{"alliance": map[string]any{"ingressGateway": map[string]any{
			"advertise": []any{map[string]any{"address": address, "port": 443}}}}}
	}
	yaml := func(document string) map[string]any {
		t.Helper()
		parsed := map[string]any{}
		if err := yaml.Unmarshal([]byte(document), &parsed); err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	for name, test := range map[string]struct {
		settings map[string]any
		want     string
	}{
		"no settings are fine":                      {nil, ""},
		"a sound CA is fine":                        {map[string]any{"ca": map[string]any{"cert": one.Cert, "key": one.Key}}, ""},
		"a CA whose key is another's is rejected":   {map[string]any{"ca": map[string]any{"cert": one.Cert, "key": other.Key}}, "ca.key: does not belong"},
		"a CA without a certificate is rejected":    {map[string]any{"ca": map[string]any{"key": one.Key}}, "ca.cert:"},
		"a DNS name can be advertised":              {advertise("gw.example.com"), ""},
		"an address for nobody cannot":              {advertise("0.0.0.0"), "alliance.ingressGateway.advertise[0]: address 0.0.0.0"},
		"settings of the wrong type are an error":   {map[string]any{"ca": "x"}, "ca: cannot be a string"},
		"unknown settings are the schema's concern": {map[string]any{"unknown": true}, ""},
		"a known version is fine":                   {map[string]any{"globalVersion": "1.31", "additionalVersions": []any{"1.30"}}, ""},
		"an unknown version is rejected with those there are": {map[string]any{"globalVersion": "1.4"},
			"globalVersion: there is no Istio 1.4 in this release of the module: choose 1.31"},
		"an unknown additional version is rejected": {map[string]any{"additionalVersions": []any{"1.30", "1.19"}}, "additionalVersions[1]: there is no Istio 1.19"},

		"sound ranges and ports are fine": {yaml("sidecar: {includeOutboundIPRanges: [10.0.0.0/8, 'fd00::/8'], excludeInboundPorts: ['1', '65535']}"), ""},
		"a range that is too long":        {yaml("sidecar: {includeOutboundIPRanges: [10.0.0.0/8, 10.0.0.0/33]}"), "sidecar.includeOutboundIPRanges[1]: \"10.0.0.0/33\""},
		"a range that is none":            {yaml("sidecar: {excludeOutboundIPRanges: [1.2.3/8]}"), "sidecar.excludeOutboundIPRanges[0]"},
		"a port above the last":           {yaml("sidecar: {excludeInboundPorts: ['65536']}"), "sidecar.excludeInboundPorts[0]: \"65536\" is not a TCP port"},
		"an outgoing port that is none":   {yaml("sidecar: {excludeOutboundPorts: ['0']}"), "sidecar.excludeOutboundPorts[0]"},

		"a sidecar's request above its limit": {yaml("sidecar: {resourcesManagement: {static: {requests: {cpu: '3'}, limits: {cpu: 2500m}}}}"),
			"sidecar.resourcesManagement.static.requests.cpu: 3 is more than sidecar.resourcesManagement.static.limits.cpu, which is 2500m"},
		"a limit below the request's default": {yaml("sidecar: {resourcesManagement: {static: {limits: {memory: 64Mi}}}}"),
			"sidecar.resourcesManagement.static.requests.memory: 128Mi is more"},
		"a least value above the greatest": {yaml("controlPlane: {resourcesManagement: {vpa: {memory: {min: 8Gi}}}}"),
			"controlPlane.resourcesManagement.vpa.memory.min: 8Gi is more"},
		"a greatest value is of no matter beside a ratio": {yaml("sidecar: {resourcesManagement: {vpa: {cpu: {min: '4', limitRatio: 2}}}}"), ""},
		"a greatest value counts beside a ratio for istiod": {yaml("controlPlane: {resourcesManagement: {vpa: {cpu: {min: '8', limitRatio: 2}}}}"),
			"controlPlane.resourcesManagement.vpa.cpu.min: 8 is more"},
		"quantities as numbers are fine":                  {yaml("controlPlane: {resourcesManagement: {vpa: {cpu: {min: 0.5, max: 2}, memory: {max: 2147483648}}}}"), ""},
		"a number below another":                          {yaml("controlPlane: {resourcesManagement: {vpa: {cpu: {min: 3, max: 2500m}}}}"), "controlPlane.resourcesManagement.vpa.cpu.min: 3 is more"},
		"a removed limit limits no request":               {yaml("sidecar: {resourcesManagement: {static: {requests: {cpu: '3'}, limits: {cpu: null}}}}"), ""},
		"removed limits limit none":                       {yaml("sidecar: {resourcesManagement: {static: {requests: {cpu: '3', memory: 8Gi}, limits: null}}}"), ""},
		"a limit of 0 is none":                            {yaml("sidecar: {resourcesManagement: {static: {requests: {cpu: '3'}, limits: {cpu: 0}}}}"), ""},
		"a removed limit leaves the other":                {yaml("sidecar: {resourcesManagement: {static: {requests: {memory: 8Gi}, limits: {cpu: null}}}}"), "static.requests.memory: 8Gi is more"},
		"providers of the data plane are read, too":       {yaml("dataPlane: {extensionProviders: [{name: a, envoyExtAuthzGrpc: {service: a.b.svc, port: 80, failOpen: true, timeout: 5s, statusOnError: '503', clearRouteCache: true}}]}"), ""},
		"a provider of the data plane of an unknown kind": {yaml("dataPlane: {extensionProviders: [{name: a, envoyExtAuthz: {}}]}"), "dataPlane.extensionProviders[0]: \"a\" is not as Istio's"},
		"istiod without limits is fine":                   {yaml("controlPlane: {resourcesManagement: {mode: Static, static: {requests: {cpu: '64'}}}}"), ""},
		"a quantity that is none": {yaml("controlPlane: {resourcesManagement: {static: {requests: {cpu: '1x'}}}}"),
			"controlPlane.resourcesManagement.static.requests.cpu: \"1x\" is not a Kubernetes quantity"},

		"tracing to a Service is fine":          {yaml("tracing: {enabled: true, collector: {zipkin: {address: 'zipkin.tracing.svc:9411'}}}"), ""},
		"tracing to an IPv6 address is fine":    {yaml("tracing: {enabled: true, collector: {zipkin: {address: '[2001:db8::7]:9411'}}}"), ""},
		"a collector without a port":            {yaml("tracing: {collector: {zipkin: {address: zipkin.tracing.svc}}}"), "tracing.collector.zipkin.address: \"zipkin.tracing.svc\" is not a host and a port"},
		"a collector at a port that is none":    {yaml("tracing: {collector: {zipkin: {address: 'zipkin.tracing.svc:99999'}}}"), "\"99999\" is not a TCP port"},
		"a collector without a namespace":       {yaml("tracing: {collector: {zipkin: {address: 'zipkin:9411'}}}"), "\"zipkin\" is not a complete name"},
		"a user interface that is nowhere":      {yaml("tracing: {kiali: {jaegerURLForUsers: 'https://'}}"), "tracing.kiali.jaegerURLForUsers: \"https://\" has no host"},
		"an endpoint that is no URL":            {yaml("tracing: {kiali: {jaegerGRPCEndpoint: 'http://a b'}}"), "tracing.kiali.jaegerGRPCEndpoint"},
		"an idle timeout in days":               {yaml("dataPlane: {proxyConfig: {idleTimeout: 1d}}"), "dataPlane.proxyConfig.idleTimeout: \"1d\" is not a duration"},
		"an authentication that is nowhere":     {yaml("auth: {externalAuthentication: {authURL: 'https:///auth'}}"), "auth.externalAuthentication.authURL"},
		"a range of clients that is none":       {yaml("auth: {whitelistSourceRanges: [203.0.113.0/64]}"), "auth.whitelistSourceRanges[0]"},
		"root certificates for tokens are fine": {map[string]any{"jwksResolverAdditionalRootCA": one.Cert + other.Cert}, ""},
		"a root certificate that is not PEM":    {map[string]any{"jwksResolverAdditionalRootCA": one.Cert + "more"}, "jwksResolverAdditionalRootCA: something that is not PEM follows certificate 1"},
		"a key among root certificates":         {map[string]any{"jwksResolverAdditionalRootCA": one.Key}, "jwksResolverAdditionalRootCA: holds a PEM block"},
		"a root certificate that is broken": {map[string]any{"jwksResolverAdditionalRootCA": "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"},
			"jwksResolverAdditionalRootCA: certificate 1 cannot be read"},

		"a provider as Istio describes it is fine": {yaml("extensionProviders: [{name: a, envoyExtAuthzHttp: {service: a.b.svc, port: 80}}, {name: b, prometheus: {}}]"), ""},
		"a provider of an unknown kind":            {yaml("extensionProviders: [{name: a, envoyExtAuthz: {service: a.b.svc, port: 80}}]"), "extensionProviders[0]: \"a\" is not as Istio's MeshConfig.extensionProviders describes it: unknown field"},
		"a name without a provider":                {yaml("extensionProviders: [{name: a}]"), "extensionProviders[0]: \"a\" has no provider: set exactly one provider"},
		"two providers in one":                     {yaml("extensionProviders: [{name: a, prometheus: {}, stackdriver: {}}]"), "extensionProviders[0]: \"a\" has prometheus and stackdriver: set exactly one provider"},
		"a provider without a Service":             {yaml("extensionProviders: [{name: a, zipkin: {port: 9411}}]"), "extensionProviders[0]: \"a\" is incomplete: zipkin.service: is missing"},
		"a provider without a port":                {yaml("extensionProviders: [{name: a, zipkin: {service: a.b.svc}}]"), "extensionProviders[0]: \"a\" is incomplete: zipkin.port: 0 is not a TCP port"},
		"a provider that is null":                  {yaml("extensionProviders: [{name: a, prometheus: null}]"), "extensionProviders[0]: \"a\" has an empty provider"},

		"sound placement is fine": {yaml("{nodeSelector: {node-role.deckhouse.io/system: '', a: b}, tolerations: [{operator: Exists}, " +
			"{key: a, value: x}, {key: a, operator: Exists, effect: NoExecute, tolerationSeconds: 60}]}"), ""},
		"a selector by what cannot be a label":  {yaml("nodeSelector: {'a b': c}"), "nodeSelector: \"a b\" is not a label key"},
		"a selector by what cannot be a value":  {yaml("nodeSelector: {a: b c}"), "nodeSelector: \"b c\", the value of \"a\", is not a label value"},
		"istiod's selector":                     {yaml("controlPlane: {nodeSelector: {'a b': c}}"), "controlPlane.nodeSelector: \"a b\""},
		"the gateway's selector":                {yaml("alliance: {ingressGateway: {nodeSelector: {'a b': c}}}"), "alliance.ingressGateway.nodeSelector: \"a b\""},
		"a toleration with a value of no use":   {yaml("tolerations: [{key: a}, {key: a, operator: Exists, value: x}]"), "tolerations[1]: value is \"x\", but operator Exists"},
		"a toleration of every key by value":    {yaml("controlPlane: {tolerations: [{operator: Equal}]}"), "controlPlane.tolerations[0]: has no key"},
		"a toleration that says nothing":        {yaml("tolerations: [{}]"), "tolerations[0]: has no key"},
		"a toleration of what is no key":        {yaml("alliance: {ingressGateway: {tolerations: [{key: a b}]}}"), "alliance.ingressGateway.tolerations[0]: key \"a b\""},
		"a toleration of what is no value":      {yaml("tolerations: [{key: a, value: b c}]"), "tolerations[0]: value \"b c\""},
		"seconds without the effect they need":  {yaml("tolerations: [{key: a, tolerationSeconds: 5}]"), "tolerations[0]: tolerationSeconds is 5"},
		"an annotation with capitals is fine":   {yaml("alliance: {ingressGateway: {serviceAnnotations: {Example.com/A: 'any text, at all'}}}"), ""},
		"what cannot be a Pod's annotation":     {yaml("alliance: {ingressGateway: {gatewayPodAnnotations: {'a b': c}}}"), "alliance.ingressGateway.gatewayPodAnnotations: \"a b\""},
		"what cannot be a Service's annotation": {yaml("alliance: {ingressGateway: {serviceAnnotations: {'a b': c}}}"), "alliance.ingressGateway.serviceAnnotations: \"a b\""},
		"annotations that are too large": {yaml("alliance: {ingressGateway: {serviceAnnotations: {a: " + strings.Repeat("x", 256<<10) + "}}}"),
			"alliance.ingressGateway.serviceAnnotations: is too large"},
	} {
		t.Run(name, func(t *testing.T) {
			err := errors.Join(settings.Check(test.settings, nil, time.Now())...)
			if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if err != nil && foreign.MatchString(err.Error()) {
				t.Errorf("%v: says what only a programmer understands", err)
			}
		})
	}
}

func TestABrokenCACertificateIsReportedOnce(t *testing.T) {
	one, err := ca.Generate("cluster-a.local")
	if err != nil {
		t.Fatal(err)
	}
	broken := map[string]any{"cert": "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n", "key": one.Key}
	problem := errors.Join(settings.Check(map[string]any{"ca": broken}, nil, time.Now())...)
	if problem == nil || !strings.HasPrefix(problem.Error(), "ca.cert: certificate 1 cannot be read") || strings.Contains(problem.Error(), "\n") {
		t.Errorf("got %v, want one problem, of ca.cert", problem)
	}
}

func TestCheckOfAnExpiredCA(t *testing.T) {
	one, err := ca.Generate("cluster-a.local")
	if err != nil {
		t.Fatal(err)
	}
	other, err := ca.Generate("cluster-a.local")
	if err != nil {
		t.Fatal(err)
	}
	bundle := func(cert, key string) map[string]any {
		return map[string]any{"ca": map[string]any{"cert": cert, "key": key}}
	}
	accepted := bundle(one.Cert, one.Key)
	later := time.Now().AddDate(20, 0, 0)

	t.Run("is distinguished from other problems", func(t *testing.T) {
		problems := settings.Check(accepted, nil, later)
		if len(problems) != 1 || !errors.As(problems[0], new(settings.Tolerated)) || !strings.Contains(problems[0].Error(), "ca.cert:") {
			t.Errorf("got %v, want one Tolerated of ca.cert", problems)
		}
		problems = settings.Check(bundle(one.Cert, other.Key), nil, later)
		if len(problems) != 1 || errors.As(problems[0], new(settings.Tolerated)) {
			t.Errorf("got %v, want a problem that is not only the time", problems)
		}
	})
	t.Run("like one whose root is an intermediate, which is rejected all the same", func(t *testing.T) {
		root := certtest.NewRoot("company root", time.Now())
		intermediate := root.Intermediate("Vault intermediate", time.Now())
		signing := intermediate.Intermediate("Istio CA", time.Now())
		problems := settings.Check(map[string]any{"ca": map[string]any{
			"cert": signing.PEM(), "key": signing.KeyPEM(), "chain": signing.PEM(), "root": intermediate.PEM(),
		}}, nil, time.Now())
		if len(problems) != 1 || !errors.As(problems[0], new(settings.Tolerated)) || !strings.Contains(problems[0].Error(), "publish the self-signed root") {
			t.Errorf("got %v, want one Tolerated with the cure", problems)
		}
	})
	t.Run("does not stand in the way of another change", func(t *testing.T) {
		changed := bundle(one.Cert, one.Key)
		changed["tlsMode"] = "Mutual"
		if problems := settings.Check(changed, accepted, later); problems != nil {
			t.Errorf("got %v", problems)
		}
	})
	t.Run("is rejected when it is new", func(t *testing.T) {
		if problems := settings.Check(bundle(other.Cert, other.Key), accepted, later); len(problems) != 1 {
			t.Errorf("got %v, want one problem", problems)
		}
	})
}
