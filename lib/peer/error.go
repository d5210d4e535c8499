package peer

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/deckhouse-mesh/istio/lib/echo"
)

// Reason tells why a document could not be had, in the CamelCase of condition reasons.
type Reason string

// Reasons of an Error.
const (
	// Unreachable: no HTTP answer (DNS, connection, time-out).
	Unreachable Reason = "PeerUnreachable"
	// TLS: the peer's certificate could not be verified.
	TLS Reason = "PeerCertificateNotTrusted"
	// Unauthorized: 401 or 403; the peer does not know this cluster (yet).
	Unauthorized Reason = "PeerRefusesThisCluster"
	// ClockDiffers: 401 or 403, and the peer says that the token's time is not its own time.
	ClockDiffers Reason = "PeerClockDiffers"
	// NotFound: 404; the address leads to something else, or the peer has the feature off.
	NotFound Reason = "PeerMetadataNotFound"
	// BadStatus: any other status but 200 and 304; also 401 or 403 for a document that anybody may read.
	BadStatus Reason = "PeerUnexpectedStatus"
	// TooLarge: the body exceeds the bound.
	TooLarge Reason = "PeerMetadataTooLarge"
	// NotJSON: a body that is no JSON object, an error page for instance.
	NotJSON Reason = "PeerMetadataNotJSON"
	// InvalidEndpoint: the address itself cannot be used.
	InvalidEndpoint Reason = "InvalidMetadataEndpoint"
)

var hints = map[Reason]string{
	Unreachable:     "check the address, DNS, firewalls, and that metadata-exporter runs there; what was learned before stays in force",
	TLS:             "set spec.metadata.ca to the CA of the peer's HTTPS certificate",
	Unauthorized:    "create the resource for this cluster in the peer; it takes effect within a minute",
	ClockDiffers:    "compare the clocks of both clusters, and have both synchronized (NTP)",
	NotFound:        "check that spec.metadataEndpoint ends in /metadata/ and that the peer has this kind of joining enabled",
	BadStatus:       "check that the address leads to the peer's metadata-exporter and not to a login, and look at the logs of the peer's ingress controller and metadata-exporter",
	TooLarge:        "the peer publishes more than this cluster accepts, or the address leads to something else",
	NotJSON:         "check that spec.metadataEndpoint leads to the peer's metadata-exporter and not to a login or error page",
	InvalidEndpoint: "correct spec.metadataEndpoint",
}

// Error is a failed fetch: what was fetched, why it failed, and what a person can do.
type Error struct {
	Reason Reason
	// URL of the document.
	URL string
	// StatusCode of the answer; 0 when there was none.
	StatusCode int
	// Err is the cause, if there is one besides the status.
	Err error
}

func (e *Error) Error() string {
	return fmt.Sprintf("GET %s: %s (%s)", e.URL, e.Cause(), hints[e.Reason])
}

// maxCauseBytes bounds what whoever answers can put into a condition.
const maxCauseBytes = 500

// Cause is what went wrong, without what was asked for and what to do about it.
// It may have text in it of whoever answered: names in a certificate, for example.
func (e *Error) Cause() string {
	switch {
	case e.Err != nil:
		return echo.Text(e.Err.Error(), maxCauseBytes)
	case e.StatusCode != 0:
		return fmt.Sprintf("%d %s", e.StatusCode, http.StatusText(e.StatusCode))
	}
	return ""
}

func (e *Error) Unwrap() error { return e.Err }

// statusReason judges a status; proved is true when the request proved who asks.
// Who refuses a document that is for anybody is no metadata-exporter.
func statusReason(code int, proved bool) Reason {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		if proved {
			return Unauthorized
		}
		return BadStatus
	case http.StatusNotFound:
		return NotFound
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return Unreachable
	default:
		return BadStatus
	}
}

func transportError(address string, err error) *Error {
	var (
		unknownAuthority x509.UnknownAuthorityError
		hostname         x509.HostnameError
		invalid          x509.CertificateInvalidError
		verification     *tls.CertificateVerificationError
	)
	reason := Unreachable
	if errors.As(err, &verification) || errors.As(err, &unknownAuthority) || errors.As(err, &hostname) || errors.As(err, &invalid) {
		reason = TLS
	}
	// url.Error repeats method and address, which Error already tells.
	var urlError *url.Error
	if errors.As(err, &urlError) {
		err = urlError.Err
	}
	// Texts end up in conditions, where "equal is silent" holds: without ephemeral
	// ports and the current time they stay the same from try to try.
	var (
		operation *net.OpError
		lookup    *net.DNSError
	)
	switch {
	case errors.As(err, &lookup):
		problem := "the name server does not answer"
		if lookup.IsNotFound {
			problem = "no such host"
		}
		err = fmt.Errorf("look up %s: %s", lookup.Name, problem)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		err = fmt.Errorf("its HTTPS certificate is valid from %s to %s only",
			invalid.Cert.NotBefore.UTC().Format(time.RFC3339), invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
	case errors.As(err, &operation):
		err = fmt.Errorf("%s %v: %w", operation.Op, operation.Addr, operation.Err)
	}
	return &Error{Reason: reason, URL: address, Err: err}
}
