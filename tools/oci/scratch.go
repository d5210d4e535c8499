package oci

import (
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Parts of an image that programs look for.
const (
	RootsFile = "etc/ssl/certs/ca-certificates.crt"
	passwd    = "root:x:0:0:root:/:/sbin/nologin\n"
	group     = "root:x:0:\n"
)

// Users of images, as in the images that Deckhouse and Istio publish.
const (
	DeckhouseUser = 64535
	IstioUser     = 1337
	EchoUser      = 1338
)

// Scratch is the floor of a static program: CA roots, the name of its user, and nothing else.
func Scratch(user string, id int) []Entry {
	return []Entry{
		Text(RootsFile, PublicRoots()),
		Text("etc/passwd", fmt.Sprintf("%s%s:x:%d:%d:%s:/:/sbin/nologin\n", passwd, user, id, id, user)),
		Text("etc/group", fmt.Sprintf("%s%s:x:%d:\n", group, user, id)),
	}
}

// PublicRoots returns the roots that Mozilla trusts for servers, as PEM. Those
// it trusts for certificates of a certain time only are left out: a file of
// roots cannot say so.
func PublicRoots() string {
	var all strings.Builder
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&all, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return all.String()
}

// UserAndGroup is the user of an image's configuration.
func UserAndGroup(id int) string { return fmt.Sprintf("%d:%d", id, id) }
