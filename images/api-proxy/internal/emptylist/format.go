package emptylist

import (
	"cmp"
	"mime"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

// shape is the form of objects that a caller requests. The zero shape is their own.
type shape int

const (
	// table is metav1.Table, as kubectl prints it; it exists in JSON only.
	table shape = iota + 1
	// metadata is metav1.PartialObjectMetadata and its list.
	metadata
)

// shapes by the kind of metav1 that a caller names.
var shapes = map[string]shape{"Table": table, "PartialObjectMetadata": metadata, "PartialObjectMetadataList": metadata}

// format is one way to answer.
type format struct {
	serializer runtime.SerializerInfo
	shape      shape
}

var (
	jsonFormat, _     = runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeJSON)
	protobufFormat, _ = runtime.SerializerInfoForMediaType(scheme.Codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
)

// maxClauses bounds the work for one Accept header; clients send at most five.
const maxClauses = 16

// negotiate reads an Accept header as the API server does, for JSON and
// protobuf; false means that neither is accepted.
func negotiate(accept string) (format, bool) {
	if strings.TrimSpace(accept) == "" {
		return format{serializer: jsonFormat}, true
	}
	type clause struct {
		format
		quality float64
	}
	var clauses []clause
	parts := strings.Split(accept, ",")
	for _, part := range parts[:min(len(parts), maxClauses)] {
		mediaType, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		quality := 1.0
		if text, ok := parameters["q"]; ok {
			if quality, err = strconv.ParseFloat(text, 64); err != nil || quality <= 0 {
				continue
			}
		}
		if each, ok := formatOf(mediaType, parameters); ok {
			clauses = append(clauses, clause{each, quality})
		}
	}
	if len(clauses) == 0 {
		return format{}, false
	}
	best := slices.MaxFunc(clauses, func(a, b clause) int { return cmp.Compare(a.quality, b.quality) }) // the first of equals
	return best.format, true
}

func formatOf(mediaType string, parameters map[string]string) (format, bool) {
	chosen := format{serializer: jsonFormat}
	switch mediaType {
	case runtime.ContentTypeJSON, "*/*", "application/*":
	case runtime.ContentTypeProtobuf:
		chosen.serializer = protobufFormat
	default:
		return format{}, false
	}
	as, ok := parameters["as"]
	if !ok {
		return chosen, true
	}
	chosen.shape = shapes[as]
	known := chosen.shape != 0 && parameters["g"] == "meta.k8s.io" && parameters["v"] == "v1"
	return chosen, known && (chosen.shape != table || mediaType != runtime.ContentTypeProtobuf)
}
