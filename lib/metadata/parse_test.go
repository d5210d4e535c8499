package metadata_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/ca"
	"github.com/deckhouse-mesh/istio/lib/metadata"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
)

func validPublic(t *testing.T) metadata.Public {
	t.Helper()
	authority, err := ca.Generate("cluster-b.local")
	if err != nil {
		t.Fatal(err)
	}
	keypair, err := authn.GenerateKeypair()
	if err != nil {
		t.Fatal(err)
	}
	return metadata.Public{
		ClusterUUID: "5d1c1c50-0cf1-4d6e-b6a4-0f3d5e2a7f10",
		AuthnKeyPub: keypair.Pub, RootCA: authority.Root, TrustDomain: "cluster-b.local",
	}
}

func TestParsePublic(t *testing.T) {
	valid := validPublic(t)
	now := time.Now()
	ecdsaKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkix, err := x509.MarshalPKIXPublicKey(ecdsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*metadata.Public)
		at     time.Time
		want   string
	}{
		"a valid document is accepted":                {func(*metadata.Public) {}, now, ""},
		"Deckhouse's own module sends no trustDomain": {func(d *metadata.Public) { d.TrustDomain = "" }, now, ""},
		"two roots during a rotation are accepted":    {func(d *metadata.Public) { d.RootCA += d.RootCA }, now, ""},
		"no clusterUUID is rejected":                  {func(d *metadata.Public) { d.ClusterUUID = "" }, now, "clusterUUID"},
		"a clusterUUID with a slash is rejected":      {func(d *metadata.Public) { d.ClusterUUID = "../x" }, now, "clusterUUID"},
		"a clusterUUID of a kilobyte is rejected":     {func(d *metadata.Public) { d.ClusterUUID = strings.Repeat("a", 1024) }, now, "clusterUUID"},
		"no key is rejected":                          {func(d *metadata.Public) { d.AuthnKeyPub = "" }, now, "authnKeyPub"},
		"a key that is not Ed25519 is rejected": {func(d *metadata.Public) {
			d.AuthnKeyPub = string(pem.EncodeToMemory(&pem.Block{Type: "ED25519 PUBLIC KEY", Bytes: pkix}))
		}, now, "*ecdsa.PublicKey"},
		"a key of another PEM type is rejected": {func(d *metadata.Public) { d.AuthnKeyPub = strings.ReplaceAll(d.AuthnKeyPub, "ED25519 ", "") }, now, "authnKeyPub"},
		"a root that is not PEM is rejected":    {func(d *metadata.Public) { d.RootCA = "rubbish" }, now, "rootCA"},
		"an empty root is rejected":             {func(d *metadata.Public) { d.RootCA = "" }, now, "rootCA"},
		"roots without a newline between them":  {func(d *metadata.Public) { d.RootCA = strings.TrimSpace(d.RootCA) + d.RootCA }, now, "put a newline"},
		"rubbish after the root is rejected":    {func(d *metadata.Public) { d.RootCA += "rubbish" }, now, "rootCA"},
		"a private key among the roots is rejected": {func(d *metadata.Public) {
			d.RootCA += "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"
		}, now, "rootCA"},
		"seventeen roots are rejected":                   {func(d *metadata.Public) { d.RootCA = strings.Repeat(d.RootCA, 17) }, now, "more than 16"},
		"an expired root is rejected":                    {func(*metadata.Public) {}, now.Add(11 * 365 * 24 * time.Hour), "expired"},
		"a trust domain that is no DNS name is rejected": {func(d *metadata.Public) { d.TrustDomain = "Bad Domain" }, now, "trust domain"},
	} {
		t.Run(name, func(t *testing.T) {
			document := valid
			test.change(&document)
			body, err := json.Marshal(document)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := metadata.ParsePublic(body, test.at)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("error %v, want one that names %q", err, test.want)
				}
				return
			}
			if err != nil || *parsed != document {
				t.Fatalf("got %+v, %v", parsed, err)
			}
		})
	}
}

func TestParsePublicNamesEveryProblem(t *testing.T) {
	_, err := metadata.ParsePublic([]byte(`{}`), time.Now())
	for _, want := range []string{"clusterUUID", "authnKeyPub", "rootCA"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not name %s", err, want)
		}
	}
}

func TestParseFederation(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		want string
	}{
		"a full document":                            {`{"ingressGateways":[{"address":"192.0.2.1","port":15443}],"publicServices":[{"hostname":"a.b.svc.c","ports":[]}],"more":1}`, ""},
		"a gateway with a DNS name":                  {`{"ingressGateways":[{"address":"gw.example.com","port":443}],"publicServices":[]}`, ""},
		"a gateway with an IPv6 address":             {`{"ingressGateways":[{"address":"2001:db8::1","port":443}],"publicServices":[]}`, ""},
		"null means none":                            {`{"ingressGateways":null,"publicServices":null}`, ""},
		"an empty object does not mean none":         {`{}`, "no ingressGateways"},
		"missing services do not mean none":          {`{"ingressGateways":[]}`, "no publicServices"},
		"lists must be lists":                        {`{"ingressGateways":[],"publicServices":{}}`, "publicServices"},
		"a port that overflows is rejected":          {`{"ingressGateways":[{"address":"192.0.2.1","port":99999999999}],"publicServices":[]}`, "ingressGateways"},
		"a million empty objects are rejected":       {`{"ingressGateways":[],"publicServices":[` + strings.TrimSuffix(strings.Repeat("{},", 1<<20), ",") + `]}`, "more than 200000"},
		"millions of nulls are rejected":             {`{"ingressGateways":[],"publicServices":[` + strings.Repeat("null,", 3<<20) + `null]}`, "more than 1500000"},
		"millions of ports of one kind are rejected": {`{"ingressGateways":[],"publicServices":[{"ports":[` + strings.Repeat("0,", 7<<20) + `0]}]}`, "more than 1500000"},
		"of a key that is there twice one counts":    {`{"ingressGateways":[],"publicServices":7,"publicServices":[]}`, ""},
		"a body that is no UTF-8 is no surprise":     {"{\"ingressGateways\":[],\"publicServices\":[{\"hostname\":\"\xff\xfe.b.svc.c\"}]}", ""},
		"numbers too large for any number":           {`{"ingressGateways":[{"port":1e400}],"publicServices":[]}`, "ingressGateways"},
		"text that is not JSON is rejected":          {`<html>`, "decode"},
		"endless nesting is rejected":                {strings.Repeat(`{"ingressGateways":[`, 20000), "decode"},
	} {
		t.Run(name, func(t *testing.T) {
			document, err := metadata.ParseFederation([]byte(test.body))
			switch {
			case test.want == "" && err != nil:
				t.Fatal(err)
			case test.want == "" && (document.IngressGateways == nil || document.PublicServices == nil):
				t.Fatalf("nil lists in %+v", document)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Fatalf("error %v, want one that names %q", err, test.want)
			}
		})
	}
}

func TestUsableGatewaysAreRetained(t *testing.T) {
	good := metadata.IngressGateway{Address: "192.0.2.1", Port: 15443}
	for name, test := range map[string]struct {
		gateway metadata.IngressGateway
		want    string
	}{
		"a port above 65535 is rejected":         {metadata.IngressGateway{Address: "192.0.2.1", Port: 70000}, "port 70000"},
		"an address with a scheme is rejected":   {metadata.IngressGateway{Address: "https://x", Port: 1}, "neither an IP address nor a DNS name"},
		"an address of three parts is rejected":  {metadata.IngressGateway{Address: "192.0.513", Port: 1}, "neither an IP address nor a DNS name"},
		"an octal address is rejected":           {metadata.IngressGateway{Address: "010.0.0.1", Port: 1}, "neither an IP address nor a DNS name"},
		"a label too long for DNS is rejected":   {metadata.IngressGateway{Address: strings.Repeat("a", 64) + ".example", Port: 1}, "neither an IP address nor a DNS name"},
		"an empty address is rejected":           {metadata.IngressGateway{Port: 1}, "neither an IP address nor a DNS name"},
		"the unspecified address is rejected":    {metadata.IngressGateway{Address: "0.0.0.0", Port: 1}, "cannot be reached"},
		"a multicast address is rejected":        {metadata.IngressGateway{Address: "ff02::1", Port: 1}, "cannot be reached"},
		"a cloud's metadata address is rejected": {metadata.IngressGateway{Address: "169.254.169.254", Port: 80}, "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			usable, err := metadata.UsableGateways([]metadata.IngressGateway{test.gateway, good}, metadata.Network{})
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "ingressGateways[0]") {
				t.Errorf("error %v, want one that names %q", err, test.want)
			}
			if len(usable) != 1 || usable[0] != good {
				t.Errorf("usable: %v", usable)
			}
		})
	}
	many := make([]metadata.IngressGateway, 1000)
	for index := range many {
		many[index] = good
	}
	if usable, err := metadata.UsableGateways(many, metadata.Network{}); len(usable) != metadata.MaxIngressGateways || err == nil {
		t.Errorf("%d of a thousand are used, error %v", len(usable), err)
	}
}

func TestAnExpiredRootBesideAValidOneIsLeftOut(t *testing.T) {
	expired := certtest.NewRoot("root", time.Now(), certtest.Until(time.Now().Add(-time.Hour))).PEM()
	if roots, err := metadata.ParseRoots(expired+validPublic(t).RootCA, time.Now()); err != nil || len(roots) != 1 {
		t.Errorf("%d roots, %v", len(roots), err)
	}
	if _, err := metadata.ParseRoots(expired, time.Now()); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("an expired root alone: %v", err)
	}
}

func TestPEMIsReturnedWithoutSurroundingText(t *testing.T) {
	valid := validPublic(t)
	padded := valid
	padded.RootCA = strings.Repeat("padding\n", 1000) + valid.RootCA
	padded.AuthnKeyPub = strings.Repeat("padding\n", 1000) + valid.AuthnKeyPub
	body, err := json.Marshal(padded)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := metadata.ParsePublic(body, time.Now())
	if err != nil || *parsed != valid {
		t.Errorf("got %d and %d bytes, %v", len(parsed.RootCA), len(parsed.AuthnKeyPub), err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"clusterUUID":"a","authnKeyPub":"-----BEGIN","rootCA":"x","ingressGateways":[{}],"publicServices":[{}]}`))
	now := time.Now()
	f.Fuzz(func(t *testing.T, body []byte) {
		if document, err := metadata.ParsePublic(body, now); err == nil && document.ClusterUUID == "" {
			t.Error("a public document without clusterUUID was accepted")
		}
		if document, err := metadata.ParseFederation(body); err == nil {
			usable, _ := metadata.UsableGateways(document.IngressGateways, metadata.Network{})
			for _, gateway := range usable {
				if gateway.Check() != nil {
					t.Errorf("gateway %+v was accepted", gateway)
				}
			}
		}
		_, _ = metadata.ParseMulticluster(body)
	})
}
