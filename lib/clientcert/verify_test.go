package clientcert_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/clientcert"
	"github.com/deckhouse-mesh/istio/lib/clientcert/certtest"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func anchorsOf(owner string, roots ...certtest.Authority) *clientcert.Anchors {
	anchors := &clientcert.Anchors{}
	for _, root := range roots {
		anchors.Add(root.Certificate, owner)
	}
	return anchors
}

func named(name pkix.Name) certtest.Change {
	return func(c *x509.Certificate) { c.Subject = name }
}

func TestACertificateProvesItsClusterOnlyWithoutAnyDefect(t *testing.T) {
	root := certtest.NewRoot(t, "Istio CA", now)
	middle := root.Intermediate(t, "middle", now)
	twin := certtest.NewRoot(t, "Istio CA", now) // the same name, another key
	impostor := certtest.NewRoot(t, "Istio CA", now, func(c *x509.Certificate) { c.SubjectKeyId = root.Certificate.SubjectKeyId })
	commonName := asn1.ObjectIdentifier{2, 5, 4, 3}
	chain := func(pair tls.Certificate) []*x509.Certificate { return certtest.Parsed(t, pair) }

	for name, test := range map[string]struct {
		chain []*x509.Certificate
		want  error
	}{
		"signed by the root": {chain(root.Client(t, now)), nil},
		"signed by an intermediate that is presented, too": {chain(middle.Client(t, now)), nil},
		"with the root itself at the end of the chain":     {append(chain(middle.Client(t, now)), root.Certificate), nil},
		"with an unrelated certificate in the chain":       {append(chain(root.Client(t, now)), twin.Certificate), nil},
		"with an organisation besides the common name":     {chain(root.Client(t, now, named(pkix.Name{CommonName: "deckhouse", Organization: []string{"d8"}}))), nil},
		"for servers and clients":                          {chain(root.Client(t, now, uses(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth))), nil},
		"none at all":                                      {nil, clientcert.ErrMissing},
		"an intermediate that is not presented":            {chain(middle.Client(t, now))[:1], clientcert.ErrUnknownCaller},
		"another authority of the same name":               {chain(twin.Client(t, now)), clientcert.ErrUnknownCaller},
		"another authority of the same name and key id":    {chain(impostor.Client(t, now)), clientcert.ErrUnknownCaller},
		"an unknown authority":                             {chain(certtest.NewRoot(t, "stranger", now).Client(t, now)), clientcert.ErrUnknownCaller},
		"the root's own certificate":                       {[]*x509.Certificate{root.Certificate}, clientcert.ErrName},
		"another common name":                              {chain(root.Client(t, now, named(pkix.Name{CommonName: "istiod"}))), clientcert.ErrName},
		"the common name in capitals":                      {chain(root.Client(t, now, named(pkix.Name{CommonName: "Deckhouse"}))), clientcert.ErrName},
		"a common name that begins alike":                  {chain(root.Client(t, now, named(pkix.Name{CommonName: "deckhouse.evil"}))), clientcert.ErrName},
		"a common name with a zero byte":                   {chain(root.Client(t, now, named(pkix.Name{CommonName: "deckhouse\x00"}))), clientcert.ErrName},
		"no common name, as workloads have none":           {chain(root.Client(t, now, named(pkix.Name{}))), clientcert.ErrName},
		"the name as an organisation":                      {chain(root.Client(t, now, named(pkix.Name{Organization: []string{"deckhouse"}}))), clientcert.ErrName},
		"the name as a DNS name only":                      {chain(root.Client(t, now, named(pkix.Name{}), func(c *x509.Certificate) { c.DNSNames = []string{"deckhouse"} })), clientcert.ErrName},
		"two common names":                                 {chain(root.Client(t, now, named(pkix.Name{CommonName: "deckhouse", ExtraNames: []pkix.AttributeTypeAndValue{{Type: commonName, Value: "other"}, {Type: commonName, Value: "deckhouse"}}}))), clientcert.ErrName},
		"the common name twice":                            {chain(root.Client(t, now, named(pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: commonName, Value: "deckhouse"}, {Type: commonName, Value: "deckhouse"}}}))), clientcert.ErrName},
		"for servers only":                                 {chain(root.Client(t, now, uses(x509.ExtKeyUsageServerAuth))), clientcert.ErrUse},
		"for no use in particular":                         {chain(root.Client(t, now, uses())), clientcert.ErrUse},
		"for any use":                                      {chain(root.Client(t, now, uses(x509.ExtKeyUsageAny))), clientcert.ErrUse},
		"an authority of that name":                        {chain(root.Client(t, now, func(c *x509.Certificate) { c.IsCA = true })), clientcert.ErrUse},
		"one that begins tomorrow":                         {chain(root.Client(t, now, func(c *x509.Certificate) { c.NotBefore = now.AddDate(0, 0, 1) })), clientcert.ErrNotYetValid},
		"one that ended a second ago":                      {chain(root.Client(t, now, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) })), clientcert.ErrExpired},
		"below an intermediate that has ended":             {chain(root.Intermediate(t, "old", now, ended).Client(t, now)), clientcert.ErrUnknownCaller},
		"below an intermediate that is no authority":       {chain(root.Intermediate(t, "no authority", now, func(c *x509.Certificate) { c.IsCA = false }).Client(t, now)), clientcert.ErrUnknownCaller},
		"below an intermediate for servers only":           {chain(root.Intermediate(t, "servers", now, uses(x509.ExtKeyUsageServerAuth)).Client(t, now)), clientcert.ErrUnknownCaller},
		"with a critical extension that nobody understands": {chain(root.Client(t, now, func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		})), clientcert.ErrUnknownCaller},
		"with more certificates than any cluster needs": {slices.Repeat(chain(root.Client(t, now)), clientcert.MaxChainLength+1), clientcert.ErrMalformed},
		"with more bytes than any cluster needs":        {append(chain(root.Client(t, now)), &x509.Certificate{Raw: make([]byte, clientcert.MaxChainBytes)}), clientcert.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			caller, err := anchorsOf("b", root).Verify(test.chain, now)
			if !errors.Is(err, test.want) {
				t.Fatalf("Verify() = %v, want %v", err, test.want)
			}
			if want := []string{"b"}; err == nil && (!slices.Equal(caller.Owners, want) || len(caller.Anchors) != 1) {
				t.Errorf("caller %+v", caller)
			}
			if err != nil && len(caller.Owners)+len(caller.Anchors) > 0 {
				t.Errorf("refused, but %+v", caller)
			}
		})
	}
}

func uses(list ...x509.ExtKeyUsage) certtest.Change {
	return func(c *x509.Certificate) { c.ExtKeyUsage = list }
}

func ended(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }

func TestAWorkloadsCertificateCannotIssueOthers(t *testing.T) {
	root := certtest.NewRoot(t, "Istio CA", now)
	workload := root.Intermediate(t, "", now, uses(x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth), func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature
	})
	if _, err := anchorsOf("b", root).Verify(certtest.Parsed(t, workload.Client(t, now)), now); !errors.Is(err, clientcert.ErrUnknownCaller) {
		t.Errorf("Verify() = %v", err)
	}
}

func TestWithoutPeersEveryCallerIsUnknown(t *testing.T) {
	chain := certtest.Parsed(t, certtest.NewRoot(t, "Istio CA", now).Client(t, now))
	if _, err := new(clientcert.Anchors).Verify(chain, now); !errors.Is(err, clientcert.ErrUnknownCaller) {
		t.Errorf("Verify() = %v", err)
	}
}

func TestARootThatHasEndedProvesNothing(t *testing.T) {
	root := certtest.NewRoot(t, "Istio CA", now, ended)
	if _, err := anchorsOf("b", root).Verify(certtest.Parsed(t, root.Client(t, now)), now); !errors.Is(err, clientcert.ErrUnknownCaller) {
		t.Errorf("Verify() = %v", err)
	}
}

func TestARootOfSeveralClustersProvesAnyOfThem(t *testing.T) {
	shared, own := certtest.NewRoot(t, "shared", now), certtest.NewRoot(t, "own", now)
	anchors := &clientcert.Anchors{}
	for _, owner := range []string{"c", "b", "c"} {
		anchors.Add(shared.Certificate, owner)
	}
	anchors.Add(own.Certificate, "d")
	caller, err := anchors.Verify(certtest.Parsed(t, shared.Client(t, now)), now)
	if err != nil || !slices.Equal(caller.Owners, []string{"b", "c"}) || len(caller.Anchors) != 1 {
		t.Fatalf("Verify() = %+v, %v", caller, err)
	}
	if !anchors.Has(caller.Anchors[0]) || anchorsOf("d", own).Has(caller.Anchors[0]) {
		t.Error("the anchor is not found again, or where it is not")
	}
}

func TestAnAnchorOutlivesARootThatIsIssuedAnew(t *testing.T) {
	root := certtest.NewRoot(t, "Istio CA", now)
	anew := certtest.NewRootWithKey(t, "Istio CA", root.Key, now.AddDate(0, 1, 0))
	caller, err := anchorsOf("b", root).Verify(certtest.Parsed(t, root.Client(t, now)), now)
	if err != nil {
		t.Fatal(err)
	}
	if !anchorsOf("b", anew).Has(caller.Anchors[0]) {
		t.Error("the same key in another certificate is another anchor")
	}
}

func TestManyRootsOfOneNameDoNotHideTheRightOne(t *testing.T) {
	anchors := &clientcert.Anchors{}
	var last certtest.Authority
	for index := range 300 { // more than package x509 tries
		last = certtest.NewRoot(t, "cluster.local", now)
		anchors.Add(last.Certificate, strconv.Itoa(index))
	}
	caller, err := anchors.Verify(certtest.Parsed(t, last.Client(t, now)), now)
	if err != nil || !slices.Equal(caller.Owners, []string{"299"}) {
		t.Errorf("Verify() = %+v, %v", caller, err)
	}
}
