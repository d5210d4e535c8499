package documents

import (
	"context"

	"golang.org/x/time/rate"
)

const (
	// paceBurst bytes of new versions are made as changes come, paceBytes a second beyond that.
	paceBurst = 64 << 20
	paceBytes = 8 << 20
)

// Pace bounds how many bytes of superseded versions there can be. A caller that reads
// slowly retains the version that it reads until its answer is cut off: hundreds of
// callers and somebody who changes a published Service all the time would fill the
// memory with versions of a document of megabytes.
type Pace struct{ limiter *rate.Limiter }

// NewPace makes a Pace that has its whole burst.
func NewPace() Pace { return Pace{rate.NewLimiter(paceBytes, paceBurst)} }

// Wait after a version of that size until the next one may be made; false when ctx ended first.
func (p Pace) Wait(ctx context.Context, bytes int) bool {
	return p.limiter.WaitN(ctx, min(bytes, paceBurst)) == nil
}
