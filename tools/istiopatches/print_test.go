package main

import (
	"strings"
	"testing"
)

func TestColumnsAreAligned(t *testing.T) {
	upstream, dates := datesOf("1.32.0=2026-11-28", "1.31.3=2026-11-20", "1.30.10=2026-11-19", "1.30.9=2026-11-02")
	later := aRow("1.31.3", "2027-05-31")
	later.endOfLife.Estimated = true
	var out strings.Builder
	if err := write(&out, judge([]row{later, aRow("1.30.8", "2026-12-15")}, upstream, dates, noon)); err != nil {
		t.Fatal(err)
	}
	const want = `
MINOR  OURS    NEWEST   RELEASED    BEHIND              END OF LIFE                          TO DO
1.32   -       1.32.0   2026-11-28  -                   -                                    new: decide whether to add it
1.31   1.31.3  1.31.3   2026-11-20  -                   2027-05-31 (estimated), in 183 days  nothing
1.30   1.30.8  1.30.10  2026-11-19  2 patches, 27 days  2026-12-15, in 16 days               set patch to 10; near its end: prepare to drop it
`
	if got := "\n" + out.String(); got != want {
		t.Errorf("printed:%s\nwant:%s", got, want)
	}
}
