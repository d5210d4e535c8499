package settings

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
)

// checkCertificates refuses PEM that holds anything but certificates; nothing is fine.
func checkCertificates(name, text string) []error {
	var problems []error
	rest := []byte(text)
	for number := 1; strings.TrimSpace(string(rest)) != ""; number++ {
		block, following := pem.Decode(rest)
		if block == nil {
			return append(problems, fmt.Errorf("%s: what should be certificate %d is not PEM", name, number))
		}
		if block.Type != "CERTIFICATE" {
			problems = append(problems, fmt.Errorf("%s: holds a PEM block %q; only certificates belong there", name, block.Type))
		} else if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			problems = append(problems, fmt.Errorf("%s: certificate %d cannot be read: %w", name, number, err))
		}
		rest = following
	}
	return problems
}
