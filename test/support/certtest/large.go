package certtest

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"
	"time"
)

// LargeRoots are so many root certificates of nearly 8 KiB each, in PEM: each is
// as large as a peer's root may be, by usages that nobody knows.
func LargeRoots(count int, now time.Time) string {
	var bundle strings.Builder
	for number := range count {
		bundle.WriteString(NewRoot(fmt.Sprint("root ", number), now, func(template *x509.Certificate) {
			for usage := range 500 {
				template.UnknownExtKeyUsage = append(template.UnknownExtKeyUsage, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, number, usage + 1000})
			}
		}).PEM())
	}
	return bundle.String()
}
