package publicservices_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/lib/publicservices"
)

const domain = "cluster-b.local"

func service(t *testing.T, manifest string) *corev1.Service {
	t.Helper()
	var parsed corev1.Service
	if err := yaml.UnmarshalStrict([]byte(manifest), &parsed); err != nil {
		t.Fatal(err)
	}
	return &parsed
}

func withSpec(t *testing.T, spec string) *corev1.Service {
	t.Helper()
	return service(t, "metadata: {name: web, namespace: shop}\nspec:\n  "+strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  "))
}

func TestAServiceIsPublishedWithItsNamedPorts(t *testing.T) {
	published, ok, rejections := publicservices.FromService(withSpec(t, `
type: ClusterIP
ports:
- {name: metrics, port: 9090, protocol: TCP}
- {name: http-web, port: 80, protocol: TCP, targetPort: 8080}
`), domain)
	want := metadata.PublicService{Hostname: "web.shop.svc.cluster-b.local", Ports: []metadata.ServicePort{
		{Name: "http-web", Port: 80, Protocol: "HTTP"},
		{Name: "metrics", Port: 9090, Protocol: "TCP"},
	}}
	if !ok || !reflect.DeepEqual(published, want) {
		t.Errorf("FromService() = %+v, %v; want %+v", published, ok, want)
	}
	if len(rejections) != 0 {
		t.Errorf("rejections: %v", rejections)
	}
}

func TestTheProtocolIsReadAsIstioReadsIt(t *testing.T) {
	for name, test := range map[string]struct{ port, want string }{
		"the prefix of the name":                {"{name: http-web, port: 1}", "HTTP"},
		"the whole name":                        {"{name: http2, port: 1}", "HTTP2"},
		"https":                                 {"{name: https, port: 1}", "HTTPS"},
		"grpc":                                  {"{name: grpc-api, port: 1}", "GRPC"},
		"grpc-web, whose name has a dash":       {"{name: grpc-web, port: 1}", "GRPC-WEB"},
		"grpc-web as a prefix":                  {"{name: grpc-web-ui, port: 1}", "GRPC-WEB"},
		"tls":                                   {"{name: tls-db, port: 1}", "TLS"},
		"tcp":                                   {"{name: tcp, port: 1}", "TCP"},
		"mongo":                                 {"{name: mongo, port: 27017}", "MONGO"},
		"mysql":                                 {"{name: mysql-main, port: 3306}", "MYSQL"},
		"redis":                                 {"{name: redis, port: 6379}", "REDIS"},
		"a name that says nothing":              {"{name: web, port: 80}", "TCP"},
		"a prefix without a dash is no prefix":  {"{name: httpweb, port: 80}", "TCP"},
		"appProtocol goes before the name":      {"{name: http, port: 1, appProtocol: grpc}", "GRPC"},
		"appProtocol in capitals":               {"{name: x, port: 1, appProtocol: HTTPS}", "HTTPS"},
		"an unknown appProtocol hides the name": {"{name: http, port: 1, appProtocol: example.com/x}", "TCP"},
		"an empty appProtocol leaves it to the name":  {"{name: http, port: 1, appProtocol: ''}", "HTTP"},
		"HTTP/2 in clear text by its standard name":   {"{name: x, port: 1, appProtocol: kubernetes.io/h2c}", "HTTP2"},
		"WebSocket in clear text by its own name":     {"{name: x, port: 1, appProtocol: kubernetes.io/ws}", "HTTP"},
		"WebSocket over TLS by its own standard name": {"{name: x, port: 1, appProtocol: kubernetes.io/wss}", "HTTPS"},
	} {
		t.Run(name, func(t *testing.T) {
			published, ok, rejections := publicservices.FromService(withSpec(t, "ports:\n- "+test.port), domain)
			if !ok || len(rejections) != 0 {
				t.Fatalf("not published: %v", rejections)
			}
			if got := published.Ports[0].Protocol; got != test.want {
				t.Errorf("protocol = %s, want %s", got, test.want)
			}
		})
	}
}

func TestARejectionSaysWhyAndWhatToDo(t *testing.T) {
	for name, test := range map[string]struct {
		spec         string
		reason       string
		port         int32
		hint         string
		stillHasPort int32
	}{
		"an ExternalName": {
			spec:   "type: ExternalName\nexternalName: example.com\nports: [{name: http, port: 80}]",
			reason: publicservices.ReasonExternalName, hint: "publish the Service that has"},
		"no ports": {
			spec:   "clusterIP: None",
			reason: publicservices.ReasonNoPorts, hint: "add the ones"},
		"a single port without a name": {
			spec:   "ports: [{port: 80}]",
			reason: publicservices.ReasonUnnamedPort, port: 80, hint: `"http"`},
		"a UDP port": {
			spec:   "ports: [{name: dns, port: 53, protocol: UDP}]",
			reason: publicservices.ReasonUnsupportedProtocol, port: 53, hint: "UDP cannot pass"},
		"an SCTP port": {
			spec:   "ports: [{name: sig, port: 36412, protocol: SCTP}]",
			reason: publicservices.ReasonUnsupportedProtocol, port: 36412, hint: "SCTP cannot pass"},
		"a TCP port whose name says UDP": {
			spec:   "ports: [{name: udp-x, port: 7, protocol: TCP}]",
			reason: publicservices.ReasonUnsupportedProtocol, port: 7, hint: "UDP cannot pass"},
		"the UDP half of a port; the TCP half is published": {
			spec:   "ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53, protocol: TCP}]",
			reason: publicservices.ReasonUnsupportedProtocol, port: 53, hint: "UDP", stillHasPort: 53},
	} {
		t.Run(name, func(t *testing.T) {
			published, ok, rejections := publicservices.FromService(withSpec(t, test.spec), domain)
			if ok != (test.stillHasPort != 0) {
				t.Fatalf("published = %v (%+v)", ok, published)
			}
			if ok && (len(published.Ports) != 1 || published.Ports[0].Port != test.stillHasPort) {
				t.Errorf("ports = %+v", published.Ports)
			}
			if len(rejections) != 1 {
				t.Fatalf("rejections = %v", rejections)
			}
			got := rejections[0]
			if got.Reason != test.reason || got.Port != test.port || got.Namespace != "shop" || got.Name != "web" {
				t.Errorf("rejection = %+v", got)
			}
			if text := got.String(); !strings.Contains(text, test.hint) || !strings.Contains(text, "Service shop/web is not published") {
				t.Errorf("it says %q", text)
			}
		})
	}
}

func TestAPortThatPeersRejectCostsItselfOnly(t *testing.T) {
	long := "http-" + strings.Repeat("a", 58)
	ports := []string{"{name: http, port: 80}", "{name: " + long + ", port: 8080}"}
	for index := range 200 {
		ports = append(ports, fmt.Sprintf("{name: tcp-%d, port: %d}", index, 20_000+index))
	}
	published, ok, rejections := publicservices.FromService(withSpec(t, "ports: ["+strings.Join(ports, ", ")+"]"), domain)
	if !ok || len(published.Ports) != metadata.MaxServicePorts || published.Ports[0].Port != 80 {
		t.Fatalf("published: %v, %d ports", ok, len(published.Ports))
	}
	if len(rejections) != 2 || rejections[0].Reason != publicservices.ReasonPortNameTooLong || rejections[0].Port != 8080 ||
		rejections[1].Reason != publicservices.ReasonTooManyPorts || rejections[1].Port != 20_127 || rejections[1].MorePorts != 72 {
		t.Errorf("rejections: %v", rejections)
	}
}

func TestManyPortsThatCannotBePublishedAreOneRejection(t *testing.T) {
	headless := withSpec(t, "clusterIP: None")
	for port := range int32(20_000) {
		headless.Spec.Ports = append(headless.Spec.Ports, corev1.ServicePort{Name: fmt.Sprintf("udp-%d", port+1), Port: port + 1, Protocol: corev1.ProtocolUDP})
	}
	_, ok, rejections := publicservices.FromService(headless, domain)
	if ok || len(rejections) != 1 || rejections[0].MorePorts != 19_999 || !strings.Contains(rejections[0].String(), "port 1 and 19999 more of Service shop/web") {
		t.Errorf("published: %v, %d rejections, the first: %v", ok, len(rejections), rejections[0])
	}
}

func TestAServiceIsPublishedOnlyWhereTheGatewayCanReachIt(t *testing.T) {
	for name, test := range map[string]struct{ metadata, spec, reason string }{
		"exported everywhere by default":            {"", "", ""},
		"exported nowhere but its own namespace":    {`annotations: {networking.istio.io/exportTo: "."}`, "", publicservices.ReasonNotExported},
		"exported to no namespace":                  {`annotations: {networking.istio.io/exportTo: "~"}`, "", publicservices.ReasonNotExported},
		"exported to another namespace":             {`annotations: {networking.istio.io/exportTo: "., bar"}`, "", publicservices.ReasonNotExported},
		"exported to the gateway's namespace, too":  {`annotations: {networking.istio.io/exportTo: "., d8-istio"}`, "", ""},
		"exported to all":                           {`annotations: {networking.istio.io/exportTo: "*"}`, "", ""},
		"traffic that stays on a node":              {"", "internalTrafficPolicy: Local", publicservices.ReasonNodeLocal},
		"traffic of the whole cluster":              {"", "internalTrafficPolicy: Cluster", ""},
		"a label that says no, whatever the others": {`labels: {federation.istio.deckhouse.io/public-service: "false"}`, "", "silent"},
		"a label that says true":                    {`labels: {federation.istio.deckhouse.io/public-service: "true"}`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			meta := strings.TrimSuffix("name: web, namespace: shop, "+test.metadata, ", ")
			spec := strings.TrimPrefix(test.spec+", ports: [{name: http, port: 80}]", ", ")
			_, ok, rejections := publicservices.FromService(service(t, "metadata: {"+meta+"}\nspec: {"+spec+"}"), domain)
			if ok != (test.reason == "") {
				t.Errorf("published: %v", ok)
			}
			want := []string{test.reason}
			if test.reason == "" || test.reason == "silent" {
				want = nil
			}
			var got []string
			for _, rejection := range rejections {
				got = append(got, rejection.Reason)
			}
			if !slices.Equal(got, want) {
				t.Errorf("rejections: %v, want %v", rejections, want)
			}
		})
	}
}

func TestAHostnameThatDNSHasNoRoomForIsNotPublished(t *testing.T) {
	long := strings.Repeat(strings.Repeat("d", 60)+".", 4) + "local"
	_, ok, rejections := publicservices.FromService(withSpec(t, "ports: [{name: tcp, port: 1}]"), long)
	if ok || len(rejections) != 1 || rejections[0].Reason != publicservices.ReasonHostnameTooLong {
		t.Errorf("published: %v, rejections: %v", ok, rejections)
	}
}

func TestAHeadlessServiceIsPublished(t *testing.T) {
	if _, ok, rejections := publicservices.FromService(withSpec(t, "clusterIP: None\nports: [{name: tcp, port: 5432}]"), domain); !ok {
		t.Errorf("not published: %v", rejections)
	}
}

func TestAServiceThatIsBeingDeletedIsNotPublishedWithoutARejection(t *testing.T) {
	deleted := withSpec(t, "ports: [{name: tcp, port: 5432}]")
	deleted.DeletionTimestamp = &metav1.Time{}
	if _, ok, rejections := publicservices.FromService(deleted, domain); ok || len(rejections) != 0 {
		t.Errorf("published = %v, rejections = %v", ok, rejections)
	}
}
