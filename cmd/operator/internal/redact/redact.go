// Package redact removes private keys and credentials from a log. addon-operator
// logs whole values at the level debug, the mesh's keys among them.
package redact

import (
	"bytes"
	"io"
	"regexp"
)

// Writer passes on what is written to it, without credentials. Each write is one
// record of the log, as package log writes them.
type Writer struct{ To io.Writer }

// Write implements io.Writer.
func (w Writer) Write(record []byte) (int, error) {
	if _, err := w.To.Write(Bytes(record)); err != nil {
		return 0, err
	}
	return len(record), nil
}

// rule replaces what matches; marker is text without which nothing does, to be quick.
type rule struct {
	marker      []byte
	expression  *regexp.Regexp
	replacement []byte
}

var rules = []rule{
	// A block that was cut off is removed to its end, whatever its newlines are encoded as.
	{[]byte("PRIVATE KEY-----"), regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)`), []byte("[private key]")},
	// PEM in base64, as Secrets and kubeconfigs have it.
	{[]byte("LS0tLS1CRUdJTi"), regexp.MustCompile(`LS0tLS1CRUdJTi[A-Za-z0-9+/=]*`), []byte("[PEM]")},
	{[]byte("eyJ"), regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`), []byte("[token]")},
	{[]byte("dockercfg"), regexp.MustCompile(`(dockercfg\\?["']?\s*:\s*\\?["']?)[A-Za-z0-9+/=]+`), []byte("${1}[credentials]")},
	{[]byte("dockerconfigjson"), regexp.MustCompile(`(dockerconfigjson\\?["']?\s*:\s*\\?["']?)[A-Za-z0-9+/=]+`), []byte("${1}[credentials]")},
	{[]byte("assword"), regexp.MustCompile(`([Pp]assword\\?["']?\s*:\s*\\?["']?)[^"'\s\\,}]+`), []byte("${1}[credentials]")},
}

// Bytes returns text without credentials.
func Bytes(text []byte) []byte {
	for _, each := range rules {
		if bytes.Contains(text, each.marker) {
			text = each.expression.ReplaceAll(text, each.replacement)
		}
	}
	return text
}
