package testbed

import "time"

const (
	// silence before a person reads what a step waits for: short waits are normal.
	silence = 20 * time.Second
	// pause between two such lines.
	pause = 10 * time.Second
)

// seldom passes on what a step waits for once it has waited for a while, and then not all the time.
func seldom(note func(string)) func(string) {
	next := time.Now().Add(silence)
	return func(waiting string) {
		if now := time.Now(); now.After(next) {
			next = now.Add(pause)
			note(waiting)
		}
	}
}
