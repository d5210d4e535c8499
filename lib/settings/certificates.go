package settings

import (
	"fmt"
	"strings"

	"github.com/deckhouse-mesh/istio/lib/certs"
)

// checkCertificates rejects PEM that holds anything but certificates; an empty text is fine.
func checkCertificates(name, text string) []error {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	if _, err := certs.Parse(text); err != nil {
		return []error{fmt.Errorf("%s: %w", name, err)}
	}
	return nil
}
