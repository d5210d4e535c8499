package clientcert_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/deckhouse-mesh/istio/lib/clientcert"
	"github.com/deckhouse-mesh/istio/test/support/certtest"
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
	root := certtest.NewRoot("Istio CA", now)
	middle := root.Intermediate("middle", now)
	twin := certtest.NewRoot("Istio CA", now) // the same name, another key
	impostor := certtest.NewRoot("Istio CA", now, func(c *x509.Certificate) { c.SubjectKeyId = root.Certificate.SubjectKeyId })
	commonName := asn1.ObjectIdentifier{2, 5, 4, 3}
	chain := certtest.Parsed

	for name, test := range map[string]struct {
		chain []*x509.Certificate
		want  error
	}{
		"signed by the root": {chain(root.Client(now)), nil},
		"signed by an intermediate that is presented, too": {chain(middle.Client(now)), nil},
		"with the root itself at the end of the chain":     {append(chain(middle.Client(now)), root.Certificate), nil},
		"with an unrelated certificate in the chain":       {append(chain(root.Client(now)), twin.Certificate), nil},
		"with an organisation besides the common name":     {chain(root.Client(now, named(pkix.Name{CommonName: "deckhouse", Organization: []string{"d8"}}))), nil},
		"for servers and clients":                          {chain(root.Client(now, uses(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth))), nil},
		"none at all":                                      {nil, clientcert.ErrMissing},
		"an intermediate that is not presented":            {chain(middle.Client(now))[:1], clientcert.ErrUnknownCaller},
		"another authority of the same name":               {chain(twin.Client(now)), clientcert.ErrUnknownCaller},
		"another authority of the same name and key id":    {chain(impostor.Client(now)), clientcert.ErrUnknownCaller},
		"an unknown authority":                             {chain(certtest.NewRoot("stranger", now).Client(now)), clientcert.ErrUnknownCaller},
		"the root's own certificate":                       {[]*x509.Certificate{root.Certificate}, clientcert.ErrName},
		"another common name":                              {chain(root.Client(now, named(pkix.Name{CommonName: "istiod"}))), clientcert.ErrName},
		"the common name in capitals":                      {chain(root.Client(now, named(pkix.Name{CommonName: "Deckhouse"}))), clientcert.ErrName},
		"a common name that begins alike":                  {chain(root.Client(now, named(pkix.Name{CommonName: "deckhouse.evil"}))), clientcert.ErrName},
		"a common name with a zero byte":                   {chain(root.Client(now, named(pkix.Name{CommonName: "deckhouse\x00"}))), clientcert.ErrName},
		"no common name, as workloads have none":           {chain(root.Client(now, named(pkix.Name{}))), clientcert.ErrName},
		"the name as an organisation":                      {chain(root.Client(now, named(pkix.Name{Organization: []string{"deckhouse"}}))), clientcert.ErrName},
		"the name as a DNS name only":                      {chain(root.Client(now, named(pkix.Name{}), func(c *x509.Certificate) { c.DNSNames = []string{"deckhouse"} })), clientcert.ErrName},
		"two common names":                                 {chain(root.Client(now, named(pkix.Name{CommonName: "deckhouse", ExtraNames: []pkix.AttributeTypeAndValue{{Type: commonName, Value: "other"}, {Type: commonName, Value: "deckhouse"}}}))), clientcert.ErrName},
		"the common name twice":                            {chain(root.Client(now, named(pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: commonName, Value: "deckhouse"}, {Type: commonName, Value: "deckhouse"}}}))), clientcert.ErrName},
		"for servers only":                                 {chain(root.Client(now, uses(x509.ExtKeyUsageServerAuth))), clientcert.ErrUse},
		"for no use in particular":                         {chain(root.Client(now, uses())), clientcert.ErrUse},
		"for any use":                                      {chain(root.Client(now, uses(x509.ExtKeyUsageAny))), clientcert.ErrUse},
		"an authority of that name":                        {chain(root.Client(now, func(c *x509.Certificate) { c.IsCA = true })), clientcert.ErrUse},
		"one that begins tomorrow":                         {chain(root.Client(now, func(c *x509.Certificate) { c.NotBefore = now.AddDate(0, 0, 1) })), clientcert.ErrNotYetValid},
		"one that ended a second ago":                      {chain(root.Client(now, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) })), clientcert.ErrExpired},
		"below an intermediate that has ended":             {chain(root.Intermediate("old", now, ended).Client(now)), clientcert.ErrUnknownCaller},
		"below an intermediate that is no authority":       {chain(root.Intermediate("no authority", now, func(c *x509.Certificate) { c.IsCA = false }).Client(now)), clientcert.ErrUnknownCaller},
		"below an intermediate for servers only":           {chain(root.Intermediate("servers", now, uses(x509.ExtKeyUsageServerAuth)).Client(now)), clientcert.ErrUnknownCaller},
		"with a critical extension that nobody understands": {chain(root.Client(now, func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		})), clientcert.ErrUnknownCaller},
		"with more certificates than any cluster needs": {slices.Repeat(chain(root.Client(now)), clientcert.MaxChainLength+1), clientcert.ErrMalformed},
		"with more bytes than any cluster needs":        {append(chain(root.Client(now)), &x509.Certificate{Raw: make([]byte, clientcert.MaxChainBytes)}), clientcert.ErrMalformed},
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
				t.Errorf("rejected, but %+v", caller)
			}
		})
	}
}

func uses(list ...x509.ExtKeyUsage) certtest.Change {
	return func(c *x509.Certificate) { c.ExtKeyUsage = list }
}

func ended(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }

func TestAWorkloadsCertificateCannotIssueOthers(t *testing.T) {
	root := certtest.NewRoot("Istio CA", now)
	workload := root.Intermediate("", now, uses(x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth), func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature
	})
	if _, err := anchorsOf("b", root).Verify(certtest.Parsed(workload.Client(now)), now); !errors.Is(err, clientcert.ErrUnknownCaller) {
		t.Errorf("Verify() = %v", err)
	}
}

func TestWithoutPeersEveryCallerIsUnknown(t *testing.T) {
	chain := certtest.Parsed(certtest.NewRoot("Istio CA", now).Client(now))
	if _, err := new(clientcert.Anchors).Verify(chain, now); !errors.Is(err, clientcert.ErrUnknownCaller) {
		t.Errorf("Verify() = %v", err)
	}
}

func TestAnExpiredRootProvesNothing(t *testing.T) {
	root := certtest.NewRoot("Istio CA", now, ended)
	if _, err := anchorsOf("b", root).Verify(certtest.Parsed(root.Client(now)), now); !errors.Is(err, clientcert.ErrUnknownCaller) {
		t.Errorf("Verify() = %v", err)
	}
}

func TestARootOfSeveralClustersProvesAnyOfThem(t *testing.T) {
	shared, own := certtest.NewRoot("shared", now), certtest.NewRoot("own", now)
	anchors := &clientcert.Anchors{}
	for _, owner := range []string{"c", "b", "c"} {
		anchors.Add(shared.Certificate, owner)
	}
	anchors.Add(own.Certificate, "d")
	caller, err := anchors.Verify(certtest.Parsed(shared.Client(now)), now)
	if err != nil || !slices.Equal(caller.Owners, []string{"b", "c"}) || len(caller.Anchors) != 1 {
		t.Fatalf("Verify() = %+v, %v", caller, err)
	}
	if !anchors.Has(caller.Anchors[0]) || anchorsOf("d", own).Has(caller.Anchors[0]) {
		t.Error("the anchor is not found again, or where it is not")
	}
}

func TestAnAnchorSurvivesTheRenewalOfItsRoot(t *testing.T) {
	root := certtest.NewRoot("Istio CA", now)
	anew := certtest.NewRootWithKey("Istio CA", root.Key, now.AddDate(0, 1, 0))
	caller, err := anchorsOf("b", root).Verify(certtest.Parsed(root.Client(now)), now)
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
		last = certtest.NewRoot("cluster.local", now)
		anchors.Add(last.Certificate, strconv.Itoa(index))
	}
	caller, err := anchors.Verify(certtest.Parsed(last.Client(now)), now)
	if err != nil || !slices.Equal(caller.Owners, []string{"299"}) {
		t.Errorf("Verify() = %+v, %v", caller, err)
	}
}
