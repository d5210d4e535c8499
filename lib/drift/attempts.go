package drift

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pace limits how often one deviation is restored.
type pace struct {
	// prefix of its texts.
	prefix string
	// burst is how many times it is restored at once, and gap the time between attempts
	// afterwards, until nothing has deviated for as long as peace.
	burst      int
	gap, peace time.Duration
}

var (
	// A missing object does harm. The gap is less than the five minutes of the hook's
	// schedule, so that each of those runs may restore it.
	absent = pace{"gone", 5, 4 * time.Minute, 15 * time.Minute}
	// Repeated edits come from a program that enforces them, such as the admission
	// enforcers of managed platforms. Each restoration is a Helm upgrade.
	edited = pace{"edit", 5, 30 * time.Minute, time.Hour}
)

// attempt is how often something was restored, and when last.
type attempt struct {
	times int
	last  time.Time
}

// attempts, by the hash of what deviates, are stored in the text that Next returns, as
// "<prefix>:<hash>:<times>:<last>", in seconds since 1970.
type attempts struct {
	pace
	of map[string]attempt
}

// read those of the pace that have not expired; other texts are left out.
func (p pace) read(texts []string, now time.Time) attempts {
	read := attempts{p, map[string]attempt{}}
	for _, text := range texts {
		parts := strings.Split(text, ":")
		if len(parts) != 4 || parts[0] != p.prefix {
			continue
		}
		times, err := strconv.Atoi(parts[2])
		seconds, errLast := strconv.ParseInt(parts[3], 10, 64)
		if err != nil || errLast != nil {
			continue
		}
		// A time in the future means that the clock was set back.
		last := time.Unix(seconds, 0)
		if age := now.Sub(last); age >= -time.Second && age < p.peace {
			read.of[parts[1]] = attempt{times: times, last: last}
		}
	}
	return read
}

// add is true when what deviates is to be restored now, and counts the attempt.
func (a attempts) add(what string, now time.Time) bool {
	hash := hashOf(what)
	former := a.of[hash]
	if former.times >= a.burst && now.Sub(former.last) < a.gap {
		return false
	}
	a.of[hash] = attempt{times: min(former.times, a.burst) + 1, last: now}
	return true
}

// exhausted is true when what deviates has been restored burst times.
func (a attempts) exhausted(what string) bool { return a.of[hashOf(what)].times >= a.burst }

func (a attempts) texts() []string {
	var texts []string
	for _, hash := range slices.Sorted(maps.Keys(a.of)) {
		texts = append(texts, fmt.Sprintf("%s:%s:%d:%d", a.prefix, hash, a.of[hash].times, a.of[hash].last.Unix()))
	}
	return texts
}

func hashOf(what string) string {
	sum := sha256.Sum256([]byte(what))
	return hex.EncodeToString(sum[:4])
}
