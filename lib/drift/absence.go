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

const (
	// A missing object is restored at once absenceBurst times. When it is deleted
	// again and again, Helm runs at most every absenceGap afterwards, until the object
	// has existed for absencePeace. The gap is less than the five minutes of the
	// hook's schedule, so that each of those runs may restore it.
	absenceBurst = 5
	absenceGap   = 4 * time.Minute
	absencePeace = 15 * time.Minute

	absencePrefix = "gone"
)

// absence is how often an object was restored because it was missing, and when last.
type absence struct {
	times int
	last  time.Time
}

// absences, by the object's hash, are stored in the text that Next returns, as
// "gone:<object>:<times>:<last>", with a hash of the object's key and seconds since 1970.
type absences map[string]absence

// readAbsences reads those that have not expired; other texts are left out.
func readAbsences(texts []string, now time.Time) absences {
	read := absences{}
	for _, text := range texts {
		parts := strings.Split(text, ":")
		if len(parts) != 4 || parts[0] != absencePrefix {
			continue
		}
		times, err := strconv.Atoi(parts[2])
		seconds, errLast := strconv.ParseInt(parts[3], 10, 64)
		if err != nil || errLast != nil {
			continue
		}
		// A time in the future means that the clock was set back.
		last := time.Unix(seconds, 0)
		if age := now.Sub(last); age >= -time.Second && age < absencePeace {
			read[parts[1]] = absence{times: times, last: last}
		}
	}
	return read
}

// attempt is true when the missing object is to be restored now, and counts the attempt.
func (a absences) attempt(key string, now time.Time) bool {
	object := objectHash(key)
	former := a[object]
	if former.times >= absenceBurst && now.Sub(former.last) < absenceGap {
		return false
	}
	a[object] = absence{times: min(former.times, absenceBurst) + 1, last: now}
	return true
}

func (a absences) texts() []string {
	var texts []string
	for _, object := range slices.Sorted(maps.Keys(a)) {
		texts = append(texts, fmt.Sprintf("%s:%s:%d:%d", absencePrefix, object, a[object].times, a[object].last.Unix()))
	}
	return texts
}

func objectHash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:4])
}
