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

// Reason is why a document could not be fetched, in the CamelCase of condition reasons.
type Reason string

// Reasons of an Error.
const (
	// Unreachable: no HTTP answer (DNS, connection, time-out).
	Unreachable Reason = "PeerUnreachable"
	// TLS: the peer's certificate could not be verified.
	TLS Reason = "PeerCertificateNotTrusted"
	// Unauthorized: 401 or 403; the peer does not know this cluster (yet).
	Unauthorized Reason = "PeerRefusesThisCluster"
	// ClockDiffers: 401 or 403, and the peer reports that the token's time is not its own time.
	ClockDiffers Reason = "PeerClockDiffers"
	// Limited: 429; the peer, or a box on the way, limits this cluster's requests.
	Limited Reason = "PeerLimitsThisCluster"
	// NotFound: 404; the address leads to another server, or the feature is disabled in the peer.
	NotFound Reason = "PeerMetadataNotFound"
	// BadStatus: any status besides these, 200 and 304; also 401 or 403 for a document that anyone may read.
	BadStatus Reason = "PeerUnexpectedStatus"
	// TooLarge: the body exceeds the bound.
	TooLarge Reason = "PeerMetadataTooLarge"
	// NotJSON: a body that is not a JSON object, for example an error page.
	NotJSON Reason = "PeerMetadataNotJSON"
	// InvalidEndpoint: the address itself cannot be used.
	InvalidEndpoint Reason = "InvalidMetadataEndpoint"
)

var hints = map[Reason]string{
	Unreachable:  "check the address, DNS, firewalls, and that metadata-exporter runs there; the last known state stays in force",
	TLS:          "set spec.metadata.ca to the CA of the peer's HTTPS certificate; where it is set, it alone is trusted",
	Unauthorized: "create the resource for this cluster in the peer; it takes effect within a minute",
	ClockDiffers: "compare the clocks of both clusters, and synchronize both (NTP)",
	Limited: "this cluster has as many requests in progress there as one peer may have, and retries by itself; where it lasts, look for what else " +
		"makes requests in this cluster's name, and at metadata_exporter_requests_total there; the last known state stays in force",
	NotFound:        "check that spec.metadataEndpoint ends in /metadata/ and that federation or multicluster is enabled in the peer",
	BadStatus:       "check that the address leads to the peer's metadata-exporter and not to a login, and read the logs of the peer's ingress controller and metadata-exporter",
	TooLarge:        "the peer publishes more than this cluster accepts, or the address leads to another server",
	NotJSON:         "check that spec.metadataEndpoint leads to the peer's metadata-exporter and not to a login or error page",
	InvalidEndpoint: "correct spec.metadataEndpoint",
}

// Error is a failed fetch: the document, the cause, and what a person can do.
type Error struct {
	Reason Reason
	// URL of the document.
	URL string
	// StatusCode of the answer; 0 when there was none.
	StatusCode int
	// Between is true when the answer is not the peer's, but one of a load balancer or proxy on the way to it.
	Between bool
	// server is what that one calls itself.
	server string
	// Err is the cause, if there is one besides the status.
	Err error
}

func (e *Error) Error() string {
	return fmt.Sprintf("GET %s: %s (%s)", e.URL, e.Cause(), e.hint())
}

// maxCauseBytes bounds the text of another server in a condition.
const maxCauseBytes = 500

// Cause is the cause alone, without the document and the hint. It may contain text
// of the server, for example names in its certificate.
func (e *Error) Cause() string {
	switch {
	case e.Err != nil:
		return echo.Text(e.Err.Error(), maxCauseBytes)
	case e.StatusCode != 0:
		return e.answered()
	}
	return ""
}

func (e *Error) Unwrap() error { return e.Err }

// statusReason maps a status; proved is true when the request proved its sender. A
// server that rejects a request for a public document is no metadata-exporter.
func statusReason(code int, proved bool) Reason {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden:
		if proved {
			return Unauthorized
		}
		return BadStatus
	case http.StatusNotFound:
		return NotFound
	case http.StatusTooManyRequests:
		return Limited
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return Unreachable
	default:
		return BadStatus
	}
}

func transportError(address string, err error) *Error {
	var (
		verification *tls.CertificateVerificationError // crypto/tls wraps every cause in it
		invalid      x509.CertificateInvalidError
	)
	reason := Unreachable
	if errors.As(err, &verification) {
		reason = TLS
	}
	// url.Error repeats method and address, which Error already has.
	var urlError *url.Error
	if errors.As(err, &urlError) {
		err = urlError.Err
	}
	// Texts end up in conditions, which must not change with every try: they have
	// neither ephemeral ports nor the current time.
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
