package metadata

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/deckhouse-mesh/istio/lib/authn"
	"github.com/deckhouse-mesh/istio/lib/certs"
)

const (
	maxClusterUUIDLength = 64
	maxRootCertificates  = 16
	maxCertificateBytes  = 8 << 10
	// maxRootBytes bounds a peer's roots together, in DER: Helm writes them several times into one object of at most 1 MiB.
	maxRootBytes = 32 << 10
)

var clusterUUIDFormat = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// ParsePublic decodes and checks a public document. The error names every rule that
// the document breaks. Roots are checked against now; expired ones are left out. PEM
// texts are encoded anew, without any other text around the blocks.
func ParsePublic(body []byte, now time.Time) (*Public, error) {
	var document Public
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, fmt.Errorf("decode public metadata: %w", err)
	}
	var problems []error
	if len(document.ClusterUUID) > maxClusterUUIDLength || !clusterUUIDFormat.MatchString(document.ClusterUUID) {
		problems = append(problems, fmt.Errorf("clusterUUID %.70q is empty, too long or has forbidden characters", document.ClusterUUID))
	}
	var err error
	if document.AuthnKeyPub, err = cleanAuthnKey(document.AuthnKeyPub); err != nil {
		problems = append(problems, fmt.Errorf("authnKeyPub: %w", err))
	}
	roots, err := ParseRoots(document.RootCA, now)
	if err != nil {
		problems = append(problems, fmt.Errorf("rootCA: %w", err))
	}
	document.RootCA = certs.Encode(roots...)
	if document.TrustDomain != "" {
		if err := CheckTrustDomain(document.TrustDomain); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return &document, nil
}

// CheckTrustDomain checks that name can be a cluster domain, and so a SPIFFE
// trust domain: a lower-case DNS name of at most 253 characters that does not
// end in a number.
func CheckTrustDomain(name string) error {
	if messages := validation.IsDNS1123Subdomain(name); len(messages) > 0 {
		return fmt.Errorf("trust domain %.260q: %s", name, strings.Join(messages, "; "))
	}
	if !IsHostname(name) {
		return fmt.Errorf("trust domain %.260q: its last part must not be a number, and no part longer than 63 characters", name)
	}
	return nil
}

func cleanAuthnKey(text string) (string, error) {
	key, err := authn.ParsePublicKey(text)
	if err != nil {
		return "", err
	}
	return authn.EncodePublicKey(key)
}

var rootRules = certs.Rules{MaxCount: maxRootCertificates, MaxBytes: maxCertificateBytes, MaxTotalBytes: maxRootBytes}

// ParseRoots parses a PEM bundle of root certificates: at most sixteen CA
// certificates of 32 KiB together, and returns those that have not expired at now,
// of which there must be one. An expired root beside a valid one is a rotation, not
// a mistake.
func ParseRoots(text string, now time.Time) ([]*x509.Certificate, error) {
	found, err := rootRules.Parse(text)
	if err != nil {
		return nil, err
	}
	var (
		roots   []*x509.Certificate
		expired error
	)
	for _, certificate := range found {
		switch {
		case !certificate.BasicConstraintsValid || !certificate.IsCA:
			return nil, fmt.Errorf("certificate %q is not a CA", certificate.Subject)
		case now.After(certificate.NotAfter):
			expired = fmt.Errorf("certificate %q expired at %s", certificate.Subject, certificate.NotAfter.Format(time.RFC3339))
		default:
			roots = append(roots, certificate)
		}
	}
	if len(roots) == 0 {
		return nil, expired
	}
	return roots, nil
}

// ParseFederation decodes a federation document and checks what holds for it
// as a whole: its size, and that both lists exist. It does not check gateways and
// services: a bad one does not invalidate the others (UsableGateways, package
// federation).
//
// A missing list is an error and not an empty list: a peer that publishes nothing
// sends [] or null, and "{}" must not delete the imported services.
func ParseFederation(body []byte) (*Federation, error) {
	if objects := bytes.Count(body, []byte{'{'}); objects > MaxObjects {
		return nil, fmt.Errorf("federation metadata has %d objects, more than %d", objects, MaxObjects)
	}
	if values := bytes.Count(body, []byte{','}); values > MaxValues {
		return nil, fmt.Errorf("federation metadata has %d values, more than %d", values, MaxValues)
	}
	var fields struct {
		IngressGateways json.RawMessage `json:"ingressGateways"`
		PublicServices  json.RawMessage `json:"publicServices"`
	}
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, fmt.Errorf("decode federation metadata: %w", err)
	}
	if fields.IngressGateways == nil {
		return nil, errors.New("federation metadata has no ingressGateways")
	}
	if fields.PublicServices == nil {
		return nil, errors.New("federation metadata has no publicServices")
	}
	var document Federation
	if err := json.Unmarshal(fields.IngressGateways, &document.IngressGateways); err != nil {
		return nil, fmt.Errorf("decode ingressGateways: %w", err)
	}
	if err := json.Unmarshal(fields.PublicServices, &document.PublicServices); err != nil {
		return nil, fmt.Errorf("decode publicServices: %w", err)
	}
	// null means none, and is [] from here on.
	document.IngressGateways = append([]IngressGateway{}, document.IngressGateways...)
	document.PublicServices = append([]PublicService{}, document.PublicServices...)
	return &document, nil
}

// UsableGateways returns the first MaxIngressGateways gateways that pass Check
// and are not this cluster's own addresses, and what is wrong with the others (of
// many, the first few).
func UsableGateways(gateways []IngressGateway, own Network) ([]IngressGateway, error) {
	const named = 3
	usable := []IngressGateway{}
	var problems []error
	for index, gateway := range gateways {
		if len(usable) == MaxIngressGateways {
			problems = append(problems, fmt.Errorf("%d ingressGateways, the first %d are used", len(gateways), MaxIngressGateways))
			break
		}
		err := gateway.Check()
		if err == nil {
			err = own.Rejects(gateway)
		}
		if err == nil {
			usable = append(usable, gateway)
		} else if len(problems) < named {
			problems = append(problems, fmt.Errorf("ingressGateways[%d]: %w", index, err))
		}
	}
	return usable, errors.Join(problems...)
}

// IsIP is true for an IP address and false for a DNS name.
func (g IngressGateway) IsIP() bool { return net.ParseIP(g.Address) != nil }

// hexadecimal is a number as resolvers read it in an address: 0x7f000001 is loopback.
var hexadecimal = regexp.MustCompile(`^0[xX][0-9a-fA-F]*$`)

// IsHostname is false for names that resolvers read as an IP address in an old
// notation ("192.0.513", "010.0.0.1", "0x7f000001"): no top-level domain is a number
// (RFC 3696, section 2). Labels are as long as DNS and Istio allow.
func IsHostname(name string) bool {
	labels := strings.Split(name, ".")
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" || hexadecimal.MatchString(last) {
		return false
	}
	return !slices.ContainsFunc(labels, func(label string) bool { return len(label) > 63 })
}

// Check rejects what cannot be the address of another cluster's gateway: text that
// is neither an IP address nor a DNS name, a port out of range, and addresses that
// are not one host of another network (unspecified, link-local, multicast). It
// accepts loopback: a server there must still prove the peer's identity by mutual TLS.
func (g IngressGateway) Check() error {
	if messages := validation.IsValidPortNum(int(g.Port)); len(messages) > 0 {
		return fmt.Errorf("port %d: %s", g.Port, strings.Join(messages, "; "))
	}
	ip := net.ParseIP(g.Address)
	if ip == nil {
		if len(validation.IsDNS1123Subdomain(g.Address)) > 0 || !IsHostname(g.Address) {
			return fmt.Errorf("address %.260q is neither an IP address nor a DNS name", g.Address)
		}
		return nil
	}
	if ip.IsUnspecified() || ip.IsLinkLocalUnicast() || ip.IsMulticast() {
		return fmt.Errorf("address %s cannot be reached from another cluster", g.Address)
	}
	return nil
}
