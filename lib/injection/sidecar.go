package injection

import "regexp"

// Unknown stands for a revision or version of a sidecar that cannot be determined.
const Unknown = "unknown"

// FullVersionAnnotation is put on every injected Pod by the module's injector
// configuration: the full version of Istio, "1.31.3". Images are addressed by
// digest, so their names do not contain it.
const FullVersionAnnotation = "istio.deckhouse.io/full-version"

// Sidecar is what a Pod got when it was created.
type Sidecar struct {
	// Revision of the istiod that injected it, from the annotation
	// sidecar.istio.io/status; "" when the Pod has no sidecar.
	Revision string `json:"sidecar,omitempty"`
	// AnnotatedVersion is FullVersionAnnotation; "" without one.
	AnnotatedVersion string `json:"version,omitempty"`
	// Image of the container istio-proxy; "" without one.
	Image string `json:"image,omitempty"`
}

// Foreign is true for a sidecar that an istiod of another Istio injected.
func (s Sidecar) Foreign() bool {
	return s.Revision != "" && s.Revision != Unknown && !Own(s.Revision)
}

var (
	fullVersion = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+$`)
	imageTag    = regexp.MustCompile(`:([0-9]+\.[0-9]+\.[0-9]+)(?:-[A-Za-z0-9._-]+)?(?:@[a-z0-9]+:[0-9a-f]+)?$`)
)

// FullVersion of the sidecar, "1.31.3": what the injector noted, else what the
// tag of its image says, else Unknown.
func (s Sidecar) FullVersion() string {
	if fullVersion.MatchString(s.AnnotatedVersion) {
		return s.AnnotatedVersion
	}
	if tag := imageTag.FindStringSubmatch(s.Image); tag != nil {
		return tag[1]
	}
	return Unknown
}
